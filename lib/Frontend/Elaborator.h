//===- Elaborator.h - From a syntax tree to tensors ------------*- C++ -*-===//
//
// Runs the text of one layer with its parameters fixed: parameters, sizes and
// static choices are computed here; what is left, tensors over named axes, is
// emitted as `func.func @forward` with `linalg` and `ssm` ops.
//
// Arguments of the function carry one of these attributes:
//   ssm.input = "x"       a declared input, with its batch axis if it has one
//   ssm.weight = "a.b"    a weight under its name in a checkpoint. ssm.shape is
//                         the stored shape; a family (a loop over depth that
//                         stays a loop) has "{}" in its name and its members
//                         along a leading dimension
//   ssm.state = "s"       a carried value, zero at the start of a sequence;
//                         ssm.initial and ssm.final name an input that sets it and
//                         an output that receives it
//   ssm.position          an index: tokens of the sequence before this call
// ssm.dims gives the extents of inputs, outputs and states, -1 for the batch, -2 for
// the length of the sequence, or of the first of several sequence axes, -3 for that of
// the second and so on. Results carry ssm.output = "y", then the states in the order of their arguments.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_ELABORATOR_H
#define SSMC_FRONTEND_ELABORATOR_H

#include "AST.h"
#include "Attention.h"
#include "Diagnostics.h"
#include "Term.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "ssmc/Frontend/Frontend.h"
#include "llvm/ADT/StringMap.h"
#include <array>
#include <map>
#include <set>

namespace ssmc {

class Elaborator;
struct Scope;
struct Instance;

/// A parameter's value: a number, a boolean, or a name.
struct Constant {
  enum Kind { Integer, Real, Boolean, Name } kind = Integer;
  double number = 0;
  std::string name;
  static Constant of(double value, bool integer) {
    return {integer ? Integer : Real, value, ""};
  }
  static Constant of(bool value) { return {Boolean, double(value), ""}; }
  static Constant of(std::string name) { return {Name, 0, std::move(name)}; }
  bool isNumber() const { return kind == Integer || kind == Real; }
  std::string str() const;
};

/// An insertion; where the part is empty, `whole` as it is.
mlir::Value insertSlice(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value part,
                        mlir::Value whole, llvm::ArrayRef<mlir::OpFoldResult> offsets,
                        llvm::ArrayRef<mlir::OpFoldResult> sizes,
                        llvm::ArrayRef<mlir::OpFoldResult> strides);

/// A tensor over named axes; the batch, if any, is the first dimension and is
/// never an axis. An axis may be absent from the tensor: constant along it.
struct TensorValue {
  llvm::SmallVector<Axis> axes;
  llvm::SmallVector<int> dimension; // of each axis in the tensor, or -1
  mlir::Value re, im;
  bool batched = false, integer = false, boolean = false;
  /// Instead of tensors: a term over `variables` (one an axis), kept symbolic
  /// because it is a number or a function of indices.
  Number inlined;
  llvm::SmallVector<IndexId> variables;
  bool isComplex() const { return im || inlined.im; }
};

/// What a name stands for.
struct Entity {
  enum Kind {
    Absent,   // declared under a condition that is false
    Tensor,
    Point,    // a number at the current point (argument of an inlined fn)
    Tuple,
    Function,
    Lambda,
    Part,
    PartFamily,
    Weight,       // declared; becomes a tensor when first used
    WeightFamily,
    InitialState, // an input that a state starts from
    FinalState,   // a result that is a state's last value
    Direction,
    Wrong         // its definition has an error
  } kind = Absent;
  TensorValue tensor;
  Number number;
  std::vector<Entity> elements;
  const ast::FnDecl *function = nullptr;
  const ast::LambdaExpr *lambda = nullptr;
  const ast::PartStmt *part = nullptr;
  const ast::WeightStmt *weight = nullptr;
  std::shared_ptr<Instance> instance; // Part; null for Identity
  std::shared_ptr<Scope> scope;       // where functions and families were defined
  bool backward = false;              // Direction
  std::optional<unsigned> sequence;   // Direction: along this sequence axis
  unsigned slot = 0;                  // FinalState
  std::string name;                   // InitialState: the input's
  bool *used = nullptr;               // Wrong: set when it is looked up
  llvm::SMRange range;

  static Entity of(TensorValue tensor, llvm::SMRange range = {}) {
    Entity entity;
    entity.kind = Tensor;
    entity.tensor = std::move(tensor);
    entity.range = range;
    return entity;
  }
};

/// Names visible at a place. Axes, constants (parameters, numeric lets, loop
/// indices) and values are separate namespaces.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> parent) : parent(std::move(parent)) {}
  std::shared_ptr<Scope> parent;
  std::map<std::string, Entity> values;
  std::map<std::string, Constant> constants;
  std::map<std::string, std::pair<Axis, llvm::SMRange>> axes;
  /// Second indices over the sequence, with the scope of their conditions.
  struct Over {
    const ast::OverStmt *stmt = nullptr;
    std::shared_ptr<Scope> scope;
  };
  std::map<std::string, Over> overs;
  std::string loopIndex; // a rolled loop's index, not a constant
  /// What cuts sequence axes, by their extents: true where a document starts.
  std::map<int64_t, TensorValue> cuts;
  /// Names later statements of the enclosing function use, to decide what a
  /// state block must deliver.
  const std::vector<std::string> *usedLater = nullptr;
  const ast::FnDecl *enclosing = nullptr;

  Entity *findValue(llvm::StringRef name);
  Constant *findConstant(llvm::StringRef name);
  std::pair<Axis, llvm::SMRange> *findAxis(llvm::StringRef name);
  const TensorValue *findCut(int64_t sequence);
  /// Takes over what cuts sequence axes where this scope's function is called.
  void inheritCuts(Scope &caller);
  bool isLoopIndex(llvm::StringRef name);
};

/// A layer with its parameters, under a prefix of weight names.
struct Instance {
  const ast::LayerDecl *layer = nullptr;
  std::shared_ptr<Scope> scope;
  std::string prefix; // "" or ends in '.'
  bool elaborated = false; // members evaluated
  std::string path;        // of part names, for state names
};

/// The index space of one definition while its right side is evaluated.
struct PointContext {
  bool automatic = false; // axes are taken from the operands
  std::map<std::string, mlir::AffineExpr> bound;
  llvm::SmallVector<IndexId> variables; // of the left side, or found so far
  llvm::SmallVector<IndexId> rest;      // what `..` stands for
  std::map<std::pair<size_t, size_t>, IndexId> positional; // (rank, position)
  llvm::SmallVector<IndexId> longest; // axes of the operand that has most
  std::vector<std::pair<Axis, IndexId>> units; // merged axes walked as one
  PointContext *parent = nullptr;
  const std::vector<mlir::AffineExpr> *stateAt = nullptr; // inside a state block
  std::string stateName;
  bool stateComplex = false;
  Number stateValue; // the state as the previous line left it
  mlir::AffineExpr find(llvm::StringRef name) const;
};

/// Axes as a message shows them: `[t, d: 4, 3]`.
std::string shapeText(llvm::ArrayRef<Axis> axes);

/// In how many ways k of n can be chosen; none where there are fewer than k.
double binomial(int64_t n, int64_t k);

/// The context around all others.
PointContext &rootOf(PointContext &point);

/// A weight of the compiled layer, with what an initialiser needs.
struct WeightInfo {
  std::string name;
  llvm::SmallVector<int64_t> shape; // as stored, without the family dimension
  int64_t family = 0;
  TermRef init;                     // over variables 0, 1, ... of `shape`; or null
};

class Elaborator {
public:
  Elaborator(mlir::MLIRContext &context, Diagnostics &diagnostics,
             const FrontendOptions &options);
  ~Elaborator();

  void addModule(const ast::Module &module);
  mlir::OwningOpRef<mlir::ModuleOp> run(const ast::Module &main);
  std::vector<WeightInfo> weights;
  /// Names and values of what can be set of the layer that is compiled.
  std::vector<std::pair<std::string, std::string>> parameters;

private:
  friend class TermEmitter;
  std::shared_ptr<Scope> makeScope(std::shared_ptr<Scope> parent);
  std::vector<std::weak_ptr<Scope>> scopes; // all that were made

  // Declarations (ElaborateScope.cpp, ElaborateLayer.cpp, ElaboratePart.cpp,
  // ElaborateWeight.cpp)
  const ast::LayerDecl *findLayer(llvm::StringRef name);
  const ast::FnDecl *findFunction(llvm::StringRef name);
  std::shared_ptr<Instance> instantiate(const ast::LayerDecl &layer,
                                        const ast::CallExpr *call,
                                        std::shared_ptr<Scope> caller,
                                        std::string prefix, std::string path,
                                        bool isCompiled = false);
  bool bindParameters(const ast::LayerDecl &layer, const ast::CallExpr *call,
                      Scope *caller, Scope &scope, bool isCompiled);
  bool isSettable(llvm::StringRef name) const;
  bool checkSettings(const ast::LayerDecl &layer);
  bool checkKind(const ast::Param &param, const Constant &value, Scope &scope,
                 llvm::SMRange where);
  bool elaborateMembers(Instance &instance);
  bool elaborateMember(const ast::Stmt &member, Instance &instance);
  bool declareWeight(const ast::WeightStmt &weight, Instance &instance);
  bool declarePart(const ast::PartStmt &part, Instance &instance);
  std::optional<Entity> evaluatePart(const ast::Expr &expr,
                                     std::shared_ptr<Scope> scope,
                                     const std::string &prefix,
                                     const std::string &path);
  std::optional<std::string> expandName(llvm::StringRef text, Scope &scope,
                                        llvm::SMRange range);
  bool emitForward(Instance &instance);
  const ast::FnDecl *forwardOf(const Instance &instance);

  // Errors (ElaborateErrors.cpp)
  void markWrong(const ast::Ident &name, Scope &scope);
  void markWrong(const ast::Pattern &target, Scope &scope);
  void markWrong(const ast::Stmt &stmt, Scope &scope);
  /// "; did you mean 'x'?" for the visible name nearest to `name`, or "".
  std::string suggest(llvm::StringRef name, Scope &scope);
  template <typename Run>
  bool goOn(const ast::Stmt &stmt, Scope &scope, Run run);
  // Statements (ElaborateStatement.cpp, ElaborateBinding.cpp, ElaborateLoop.cpp)
  bool runOne(const ast::Stmt &stmt, std::shared_ptr<Scope> scope, Entity *returned);
  bool runBody(const std::vector<ast::StmtPtr> &body, std::shared_ptr<Scope> scope,
               Entity *returned);
  bool runStatement(const ast::Stmt &stmt, std::shared_ptr<Scope> scope,
                    Entity *returned);
  bool runAssign(const ast::AssignStmt &stmt, std::shared_ptr<Scope> scope);
  bool assignPattern(const ast::Pattern &target, Entity value, Scope &scope);
  std::optional<TensorValue> defineTensor(const ast::Pattern &target,
                                          const ast::Expr &value,
                                          std::shared_ptr<Scope> scope,
                                          bool force);
  bool runFor(const ast::ForStmt &stmt, std::shared_ptr<Scope> scope);
  bool runRolled(const ast::ForStmt &stmt, std::shared_ptr<Scope> scope,
                 int64_t trips);
  bool canRoll(const ast::ForStmt &stmt, Scope &scope);
  std::optional<Entity> callFunction(const ast::FnDecl &fn,
                                     std::shared_ptr<Scope> definition,
                                     std::vector<Entity> args,
                                     llvm::SMRange where, PointContext *point,
                                     llvm::StringRef cutOwner = "");
  std::optional<TensorValue> bindParameter(const ast::Pattern &pattern,
                                           TensorValue value, Scope &scope,
                                           llvm::SMRange where, bool splits = true);
  std::optional<TensorValue> splitAxes(const ast::Pattern &pattern,
                                       const TensorValue &value, Scope &scope,
                                       llvm::SMRange where);

  /// The place in the text, for the diagnostics of passes.
  mlir::Location locationOf(llvm::SMRange range);

  // State blocks (ElaborateState.cpp, EmitScan.cpp)
  bool runState(const ast::StateStmt &stmt, std::shared_ptr<Scope> scope);
  struct StateBlock;
  bool findDirection(StateBlock &block, std::shared_ptr<Scope> scope);
  bool readStateLines(StateBlock &block, std::shared_ptr<Scope> scope);
  bool placeState(StateBlock &block, Scope &scope);
  // Transitions that mix the elements of a state (ElaborateTransition.cpp,
  // EmitMatrix.cpp)
  struct Mixing;
  struct Discretization {
    int rule, inputRule;
    TermRef step;
  };
  std::optional<Mixing> findMixing(const Number &value, StateBlock &block,
                                   llvm::SMRange range);
  bool mix(StateBlock &block, const Mixing &mixing,
           const std::optional<Discretization> &discretization, Scope &scope);
  bool mixByTerms(StateBlock &block, const Mixing &mixing,
                  const std::optional<Discretization> &discretization, Scope &scope);
  bool mixByMatrix(StateBlock &block, const Mixing &mixing,
                   const std::optional<Discretization> &discretization, Scope &scope);
  bool solveMixing(const Mixing &mixing, const StateBlock &block,
                   const TermRef &step, double part,
                   std::vector<std::array<TermRef, 2>> &right, Number &inverse,
                   Scope &scope);
  std::optional<TermRef> sumOverState(const StateBlock &block, IndexId row,
                                      IndexId source, const TermRef left[2],
                                      const Number &value, Scope &scope);
  TermRef interleave(const TermRef &even, const TermRef &odd, IndexId index,
                     IndexId interleaved);
  std::array<mlir::Value, 2> discretizeMatrix(int rule, int inputRule,
                                              mlir::Value rate, mlir::Value step);
  std::optional<Entity> combinations(const ast::CallExpr &call,
                                     std::shared_ptr<Scope> scope);
  std::optional<Entity> matrixFunction(const ast::CallExpr &call, llvm::StringRef name,
                                       std::shared_ptr<Scope> scope);
  bool emitScan(StateBlock &block, std::shared_ptr<Scope> scope,
                const ast::StateStmt::Line *output);

  // Expressions (ElaborateExpr.cpp, Builtins.cpp)
  std::optional<Constant> evaluateConstant(const ast::Expr &expr, Scope &scope);
  std::optional<Constant> requireConstant(const ast::Expr &expr, Scope &scope,
                                          llvm::StringRef what);
  std::optional<int64_t> requireInteger(const ast::Expr &expr, Scope &scope,
                                        llvm::StringRef what);
  std::optional<bool> requireBoolean(const ast::Expr &expr, Scope &scope,
                                     llvm::StringRef what);
  std::optional<Entity> evaluate(const ast::Expr &expr,
                                 std::shared_ptr<Scope> scope);
  std::optional<TensorValue> evaluateTensor(const ast::Expr &expr,
                                            std::shared_ptr<Scope> scope);
  std::optional<Number> evaluatePoint(const ast::Expr &expr,
                                      std::shared_ptr<Scope> scope,
                                      PointContext &point);
  std::optional<Number> pointOfName(const ast::NameExpr &expr,
                                    std::shared_ptr<Scope> scope,
                                    PointContext &point);
  std::optional<Number> pointOfEntity(Entity &entity, llvm::SMRange range,
                                      llvm::StringRef name,
                                      std::shared_ptr<Scope> scope,
                                      PointContext &point);
  mlir::AffineExpr findIndex(llvm::StringRef name, Scope &scope, PointContext &point);
  std::optional<Number> pointOfState(PointContext &block, llvm::SMRange range,
                                     PointContext &point);
  std::optional<Number> broadcast(const TensorValue &tensor, PointContext &point,
                                  Scope &scope, llvm::SMRange range,
                                  llvm::StringRef name);
  std::optional<Number> pointOfIndex(const ast::IndexExpr &expr,
                                     std::shared_ptr<Scope> scope,
                                     PointContext &point);
  std::optional<Number> pointOfCall(const ast::CallExpr &expr,
                                    std::shared_ptr<Scope> scope,
                                    PointContext &point);
  std::optional<Number> pointOfApply(const ast::ApplyExpr &expr,
                                     std::shared_ptr<Scope> scope,
                                     PointContext &point);
  std::optional<Number> builtin(llvm::StringRef name,
                                llvm::ArrayRef<Number> args,
                                llvm::SMRange range);
  std::optional<Entity> callBuiltinTensor(const ast::CallExpr &call,
                                          llvm::StringRef name,
                                          std::shared_ptr<Scope> scope,
                                          bool &known);
  void exportAxes(Entity &result, const ast::FnDecl &fn, Scope &scope,
                  llvm::ArrayRef<std::pair<size_t, TensorValue>> args);
  std::optional<Entity> callEntity(Entity &callee, const ast::CallExpr &call,
                                   std::shared_ptr<Scope> scope,
                                   PointContext *point);
  std::optional<mlir::AffineExpr> affineIndex(const ast::Expr &expr,
                                              std::shared_ptr<Scope> scope,
                                              PointContext &point);
  std::optional<Number> access(const TensorValue &tensor,
                               llvm::ArrayRef<mlir::AffineExpr> at,
                               llvm::ArrayRef<TermRef> terms,
                               llvm::SMRange range, Scope &scope,
                               PointContext &point);
  std::optional<Number> sumOver(llvm::ArrayRef<IndexId> over, Number body,
                                llvm::SMRange range, Scope &scope);
  std::optional<TermRef> sumWithState(llvm::ArrayRef<IndexId> over, const TermRef &term,
                                      llvm::SMRange range);
  std::optional<Number> convolve(llvm::ArrayRef<IndexId> over, TermRef body,
                                 IndexId lag, llvm::SMRange range, Scope &scope);
  // A second index over the sequence (ElaborateAttention.cpp, ElaborateSeenTokens.cpp)
  bool runOver(const ast::OverStmt &stmt, std::shared_ptr<Scope> scope);
  std::optional<SeenTokens> seenTokens(IndexId s, PointContext &point, Scope &scope,
                                       llvm::SMRange range);
  std::optional<Number> applyOverTokens(const ast::ApplyExpr &expr, IndexId s,
                                        const Number &body, Scope &scope,
                                        PointContext &inner);
  TermRef countSeen(const SeenTokens &seen);
  /// Whether a term depends on two tokens along one axis: it is never stored.
  bool isOverBoth(const TermRef &term);
  struct Attention;
  TermRef keyedElement(const TermRef &term, IndexId s);
  TermRef rowOf(const Attention &attention, const TermRef &leaf);
  TermRef addPair(Attention &attention, TermRef query, TermRef key,
                  llvm::ArrayRef<IndexId> over);
  std::optional<TermRef> splitProducts(Attention &attention, const TermRef &body,
                                       llvm::ArrayRef<IndexId> over);
  std::optional<TermRef> takeOperands(Attention &attention, const TermRef &term);
  std::optional<TermRef> attend(IndexId s, const TermRef &body, const SeenTokens &seen,
                                llvm::SMRange range);
  TermRef kernelTensor(TermRef kernel, IndexId lag, bool reversed);
  std::optional<TensorValue> resolveWeight(const Entity &entity);
  /// What a call by this name calls: a value in scope, or a function of a module,
  /// which `library` then holds; null for a built-in function.
  Entity *findCallee(llvm::StringRef name, Scope &scope, Entity &library);
  /// Real and imaginary part of a tensor with a last axis of 2.
  std::array<mlir::Value, 2> splitComplex(mlir::Value whole);
  std::optional<TensorValue> weightTensor(const ast::WeightStmt &weight,
                                          std::shared_ptr<Scope> scope,
                                          const std::string &prefix);
  TensorValue shift(const TensorValue &tensor, unsigned axis, int64_t distance,
                    Scope &scope);

  // The response to an impulse (ElaborateImpulse.cpp)
  std::optional<Entity> impulse(const ast::CallExpr &call, std::shared_ptr<Scope> scope);
  std::optional<TensorValue> impulseFor(const ast::Pattern &pattern,
                                        std::shared_ptr<Scope> scope);
  std::optional<Entity> asKernel(const TensorValue &response, llvm::SMRange range,
                                 Scope &scope);

  // Several sequence axes (ElaborateSequences.cpp)
  struct VisibleSequences {
    std::vector<Axis> axes;  // each once, in the order of their numbers
    std::vector<Axis> names; // under every name
    std::vector<Axis> rest;  // what `..` stands for
    bool hasRest = false;
  };
  std::optional<int64_t> declareSequence(const ast::AxisPattern &pattern);
  std::string extentText(int64_t extent);
  VisibleSequences visibleSequences(Scope &scope);
  std::optional<Entity> directionAlong(Entity direction, const ast::CallExpr &call,
                                       Scope &scope);
  std::optional<Entity> directionOf(const ast::Expr &expr, std::shared_ptr<Scope> scope);
  void noteSequence(mlir::Operation *op, const Axis &axis);
  mlir::Value rowCount(llvm::ArrayRef<IndexId> others);
  mlir::Value emptyRows(llvm::ArrayRef<IndexId> others, llvm::ArrayRef<int64_t> sizes,
                        mlir::Type type);
  TermRef elementOfRows(const TermRef &leaf, IndexId time,
                        llvm::ArrayRef<IndexId> others);
  TermRef termOfRows(const TermRef &term, IndexId time, llvm::ArrayRef<IndexId> others);
  mlir::Value unfoldRows(mlir::Value rows, llvm::ArrayRef<IndexId> others);
  TensorValue shiftRows(const TensorValue &tensor, unsigned axis, int64_t distance,
                        Scope &scope);
  mlir::Value cutOfRows(Scope &scope, IndexId time, llvm::ArrayRef<IndexId> others);

  // Axes
  std::optional<Axis> resolveAxis(const ast::AxisPattern &pattern, Scope &scope,
                                  bool define);
  IndexId newIndex(Axis axis);
  Axis &indexAxis(IndexId id) { return indexAxes[id]; }
  mlir::AffineExpr dim(IndexId id);
  mlir::AffineExpr indexOf(IndexId id);
  mlir::AffineExpr firstOf(const Axis &axis);
  mlir::AffineExpr placeOf(mlir::AffineExpr index, const Axis &axis);
  bool resolveLag(const ast::AxisPattern &pattern, Axis &axis, Scope &scope);
  /// An affine expression as multiples of its dimensions plus multiples of the
  /// prepared length and 1; nothing if it is not linear.
  struct LinearIndex {
    llvm::SmallVector<std::pair<IndexId, int64_t>> dims;
    int64_t preparedScale = 0, constant = 0;
  };
  std::optional<LinearIndex> linearIndex(mlir::AffineExpr expr);
  bool isLagged(mlir::AffineExpr at, IndexId lag);
  TermRef extentTerm(IndexId id);
  bool unify(IndexId id, int64_t size, llvm::SMRange range);
  /// The same; an index of no known extent becomes one of the axis.
  bool unify(IndexId id, const Axis &axis, llvm::SMRange range) {
    if (indexAxis(id).size == kUnknownExtent)
      indexAxis(id).pairs = axis.pairs;
    return unify(id, axis.size, range);
  }

  // Emission (EmitTensor.cpp, EmitSlice.cpp)
  TensorValue materialize(const Number &number, llvm::ArrayRef<IndexId> variables,
                          llvm::ArrayRef<Axis> axes, bool force);
  std::pair<mlir::Value, mlir::AffineMap>
  readPart(mlir::Value tensor, mlir::AffineMap map, bool batched,
           llvm::ArrayRef<int64_t> sizes);
  mlir::Value emitGeneric(llvm::ArrayRef<TermRef> results,
                          llvm::ArrayRef<IndexId> parallel,
                          llvm::ArrayRef<IndexId> reduced, Operator combine,
                          llvm::SmallVectorImpl<mlir::Value> &values,
                          bool forceBatch = false);
  TermRef hoistFixed(const TermRef &term, bool always);
  TermRef materializeTerm(const TermRef &term);
  TermRef gatherUnmapped(const TermRef &term);
  mlir::Value emptyTensor(llvm::ArrayRef<int64_t> sizes, bool batched,
                          mlir::Type type);
  llvm::SmallVector<mlir::OpFoldResult> mixedSizes(llvm::ArrayRef<int64_t> sizes,
                                                   bool batched);
  mlir::Value view(mlir::Value tensor, const TermRef &term,
                   llvm::ArrayRef<IndexId> variables);
  mlir::Value makeSlice(mlir::Value tensor, llvm::ArrayRef<mlir::OpFoldResult> offsets,
                        llvm::ArrayRef<mlir::OpFoldResult> sizes,
                        llvm::ArrayRef<mlir::OpFoldResult> strides,
                        mlir::RankedTensorType type = {});
  TensorValue slice(const TensorValue &tensor, unsigned axis, int64_t offset,
                    Axis piece);

  // The function under construction
  mlir::Value addArgument(mlir::Type type, llvm::ArrayRef<mlir::NamedAttribute> attrs);
  struct StateSlot {
    std::string name;
    mlir::Value argument;
    mlir::Value value;    // now
    int64_t family = 0;
    mlir::Value inner;    // inside a rolled loop: this iteration's value
    std::string initialInput, finalOutput; // names in the layer's signature
  };
  /// For a state at every token, the state before the first one.
  llvm::DenseMap<mlir::Value, mlir::Value> stateBefore;
  StateSlot &addState(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes,
                      mlir::Type type, mlir::Value &current);
  std::string uniqueState(llvm::StringRef name);
  void setState(unsigned slot, mlir::Value value);
  mlir::Value sizeOfBatch();
  mlir::Value sizeOfLength(unsigned sequence = 0);
  mlir::Value preparedLength(int64_t scale = 1, int64_t offset = 0);

  mlir::MLIRContext &context;
  Diagnostics &diagnostics;
  const FrontendOptions &options;
  std::vector<const ast::Module *> modules;
  mlir::OpBuilder builder;
  mlir::Location loc;
  mlir::Type scalarType; // of activations: f32 or f64
  mlir::func::FuncOp function;
  mlir::Value batch, position, prepared;
  /// The layer's sequence axes, under the names of its inputs.
  struct Sequence {
    std::string name;
    mlir::Value length;
  };
  std::vector<Sequence> sequences;
  bool declaresInputs = false; // the axes of the layer's inputs are being declared
  /// Tensors by what they are rows of, and the order of its dimensions.
  std::map<std::pair<void *, llvm::SmallVector<int>>, mlir::Value> rowsOf;
  std::vector<Axis> indexAxes;
  std::vector<StateSlot> states;
  std::vector<mlir::NamedAttrList> argumentAttrs;
  struct RolledLoop {
    mlir::scf::ForOp op;
    int64_t trips;
    std::string index;
  };
  std::optional<RolledLoop> loop;
  std::map<std::string, mlir::Value> weightArguments;
  std::map<std::string, std::pair<mlir::Value, mlir::Operation *>> loopSlices;
  std::string path; // of the instance being run, for state names
  std::map<std::string, int> stateNames;
  /// Bounds what a few lines of layers in layers and loops in loops can ask for.
  bool countUnfolded(llvm::SMRange where);
  unsigned unfolded = 0;
  unsigned depth = 0; // of inlining, against endless recursion
  std::set<std::string> wrongAxes; // that statements with errors introduce
  bool reversed = false; // a token needs those after it: no step
  bool exactLength = false; // a kernel depends on the length it is prepared for
  bool inKernel = false;    // a kernel is being defined
  bool inImpulse = false;   // the sequence is an impulse, which no call continues
  /// Whether a later call continues the sequence from states.
  bool keepsStates() const { return sequences.size() < 2 && !inImpulse; }
  int64_t fixedLength = 0;  // the length that the sequence must have, or 0
  friend struct DepthGuard;
};

/// Runs a statement or a member of a layer. After an error in it the next one is
/// run all the same, with the names it declares marked as wrong.
template <typename Run>
bool Elaborator::goOn(const ast::Stmt &stmt, Scope &scope, Run run) {
  bool outer = std::exchange(diagnostics.consequence, false);
  bool good = run();
  diagnostics.consequence = outer;
  if (!good)
    markWrong(stmt, scope);
  return good;
}

} // namespace ssmc

#endif // SSMC_FRONTEND_ELABORATOR_H

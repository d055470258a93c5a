//===- VerifyLayer.h - One layer against its literal form ------*- C++ -*-===//
//
// The literal lowering in f64 judges the code of every mode, on seeded data: whole
// sequences of several lengths, sequences cut in two with the state passed on, prompts
// followed by single tokens, rows alone against rows in a batch, one thread against
// several; later tokens changed, which earlier ones must not see; and where a layer needs
// its whole sequence, a single token, whose effect must come at the lags of the spec.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_DRIVER_VERIFYLAYER_H
#define SSMC_LIB_DRIVER_VERIFYLAYER_H

#include "Modes.h"
#include "Session.h"
#include <deque>
#include <set>

namespace ssmc {

/// What one mode did in one dtype.
struct Verdict {
  std::string mode, dtype;
  std::string refusal; // why the mode is not possible; then nothing was compared
  double tolerance = 0, worst = 0; // errors, of the largest magnitude
  std::string where;   // of the worst error
  std::string failure; // what disagreed first, or ""
  int comparisons = 0;
  std::vector<std::string> warnings;

  void note(double error, const std::string &place);
  /// Counts what another part of the same comparison found.
  void add(const Verdict &part);
};

/// The tolerance of f64: the literal form cannot tell less from nothing.
constexpr double kSmallestError = 1e-12;

/// The largest finite magnitude.
double magnitudeOf(const Tensor &tensor);

/// Of the data of all cases.
constexpr uint64_t kDataSeed = 20;

/// Calls `visit` with each run of consecutive bytes of the tokens [begin, end) along a
/// sequence axis.
void forTokens(const ssmrt_value_info &info, const Tensor &tensor, int64_t begin,
               int64_t end, llvm::function_ref<void(int64_t, int64_t)> visit,
               int axis = 0);

/// The token that is not zero: a third of the way along each axis.
inline int64_t impulseAt(int64_t length) { return length / 3; }

class LayerVerifier {
public:
  LayerVerifier(const Options &options, const Source &source, const WeightFiles &files)
      : options(options), source(source), files(files) {}

  /// Compiles every mode. Then `run` compares.
  llvm::Error compile();
  llvm::Expected<std::vector<Verdict>> run();
  llvm::StringRef layer() const { return oracle.layer.get()->layer; }

private:
  /// Code of the layer with weights.
  struct Subject {
    LoadedLayer layer;
    std::vector<Tensor> drawn;
    std::vector<ssmrt_tensor> weights;
  };
  /// A program to compile; several modes may share one.
  struct Job {
    uint64_t program;
    std::string mode;
    bool literal, doublePrecision;
    std::unique_ptr<Build> build;
    std::unique_ptr<llvm::MemoryBuffer> object;
    std::string failure;
    Subject subject;
  };
  /// Inputs of some lengths and what the oracle says to them.
  struct Case {
    Lengths lengths;
    std::vector<Tensor> inputs, wanted;
    bool isImpulse = false; // a single token is not zero
    /// For each output, the least magnitude that its errors are measured by: what went
    /// in, if the true result is zero, else 0.
    std::vector<double> yardsticks;
    /// Notes the errors of all outputs.
    void compare(const ssmrt_module *module, llvm::ArrayRef<Tensor> found,
                 llvm::ArrayRef<Tensor> expected, const std::string &place,
                 Verdict &verdict) const;
  };

  BuildRequest requestFor(llvm::StringRef mode, bool literal, bool doublePrecision) const;
  /// A mode in a dtype.
  struct Comparison {
    Verdict verdict;
    const ModeChoice *choice = nullptr;
    Job *job = nullptr;         // null where the mode is not possible
    std::optional<size_t> same; // an earlier one with the same result
  };

  /// Whether the mode is compared in f64 too.
  bool wantsDouble(const ModeChoice &choice) const;
  llvm::Expected<Subject> load(Job &job);
  std::vector<Lengths> chooseLengths() const;
  llvm::Error makeCases();
  llvm::Error roundInputs(std::vector<Tensor> &inputs);
  llvm::Error makeCase(Case &sequence);
  std::vector<Comparison> chooseComparisons();
  llvm::Error compareCase(Subject &subject, const ModeChoice &choice, Case &sequence,
                          Verdict &verdict);
  llvm::Error compareCausality(Session &session, llvm::ArrayRef<Tensor> inputs,
                               llvm::ArrayRef<Tensor> found, bool mayLeak,
                               const Case &sequence, Verdict &verdict);
  llvm::Error comparePieces(Session &session, llvm::ArrayRef<Tensor> inputs,
                            const Case &sequence, bool stepwise, Verdict &verdict);
  llvm::Error compareRows(Session &session, llvm::ArrayRef<Tensor> inputs,
                          llvm::ArrayRef<Tensor> found, bool stepwise,
                          const Case &sequence, Verdict &verdict);
  llvm::Error compareThreads(Subject &subject, llvm::ArrayRef<Tensor> inputs,
                             llvm::ArrayRef<Tensor> found, bool stepwise,
                             llvm::ArrayRef<int64_t> lengths, Verdict &verdict);
  llvm::Error call(Session &session, llvm::ArrayRef<Tensor> inputs,
                   llvm::ArrayRef<Tensor> outputs, int64_t rows, int64_t length,
                   bool stepwise);

  const Options &options;
  const Source &source;
  const WeightFiles &files;
  std::vector<ModeChoice> choices;
  std::vector<Job> jobs;
  Subject oracle;
  std::deque<Case> cases;
  Context serial;
  int64_t batch = 2;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_VERIFYLAYER_H

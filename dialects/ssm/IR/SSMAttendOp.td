//===- SSMAttendOp.td - Sums over a second sequence index --*- tablegen -*-===//

#ifndef SSM_IR_SSMATTENDOP_TD
#define SSM_IR_SSMATTENDOP_TD

include "ssm/IR/SSMAttrs.td"

def SSM_AttendOp : SSM_DestinationOp<"attend", [AttrSizedOperandSegments]> {
  let summary = "A sum over the tokens that a token sees";
  let description = [{
    Over the iteration space `(b, t, s, l1, ..., lk, r1, ..., rm)`, where `t` and
    `s` are tokens of one sequence:

    ```
    dot_i = sum_(r in pair i) queries_i[query_map_i] * keys_i[key_map_i]
    w     = score(dot_1, ..., score_ins[score_maps], t, s, l1, ..., lk)
    y[b, t, l] = sum_s w * values[value_map]
    ```

    With `decays`, `w` is multiplied by the decays of all tokens that are seen
    after `s`, which are found at `decay_map` with those tokens for `s`: as a state
    would that is multiplied by its decay at each token. With `softmax`, `w` is `exp(score)` divided by its sum over `s`; a token that
    sees nothing gets 0. No value over both `t` and `s` is stored.

    **What a token sees.** Counting from the beginning of the sequence, the
    token `t` sees `s` from the largest result of `from` (and 0) to below the
    smallest result of `to` (and the end of the sequence); both are functions of
    `t`: `to affine_map<(t) -> (t + 1)>` is causal, `from affine_map<(t) ->
    ((t floordiv 8) * 8)>` keeps to chunks of 8 tokens.

    **Tokens.** In the maps `t` and `s` count from the first token of this call,
    `s` may be before it; the region's arguments count from the beginning of the
    sequence, which is `position` tokens earlier. Indices of `score_maps` that lie
    outside of their operand give NaN.

    **Earlier tokens.** `histories` hold what keys, values and decays (in this
    order, all or none) were for earlier tokens, as rings: the token `q` is at `q mod H`,
    where H is the number of tokens a history holds. The `outs` after the first
    receive the histories for a later call. Without them, tokens before this call
    are not seen. Queries may have another number of tokens than keys.

    Constraints:
    * (C1) all maps but `from` and `to` have the same number of dimensions, at
      least three, and as many results as their operand has dimensions; `from`
      and `to` have one dimension;
    * (C2) `output_map` is `d0, d1` and then the dimensions from `d3` on, in
      order, as far as they are the output's;
    * (C3) queries and keys are pairs; maps of keys and of the values start with
      `d0, d2` and do not contain `d1`, and so does that of decays, which have no
      softmax beside them; maps of queries do not contain `d2`; other maps than
      those of the pairs name none of their dimensions;
    * (C4) histories are `B x H x ...` with the remaining dimensions and the
      element types of keys, values and decays, one each or none, and so are the
      outs behind the first;
    * (C5) the region's arguments are a number of the output's element type for
      each pair, the element types of `score_ins`, and indices `t, s, l1, ...`; it
      yields a number of the output's element type, which is f32 or f64;
    * (C6) shapes agree wherever two operands name the same dimension alone.

    Attention with a causal mask, in one call or in several:

    ```mlir
    func.func @causal(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x4x8xf32>,
        %v: tensor<?x?x4x16xf32>, %hk: tensor<?x?x4x8xf32>,
        %hv: tensor<?x?x4x16xf32>, %position: index, %y0: tensor<?x?x4x16xf32>)
        -> (tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>) {
      %y, %hk1, %hv1 = ssm.attend softmax
          queries(%q : tensor<?x?x4x8xf32>) keys(%k : tensor<?x?x4x8xf32>)
          values(%v : tensor<?x?x4x16xf32>)
          histories(%hk, %hv : tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>)
          position(%position)
          outs(%y0, %hk, %hv : tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>,
                               tensor<?x?x4x16xf32>)
          from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
          score {
      ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
        ssm.yield %dot : f32
      } attributes {
          query_maps = [affine_map<(b, t, s, h, e, z) -> (b, t, h, z)>],
          key_maps = [affine_map<(b, t, s, h, e, z) -> (b, s, h, z)>],
          score_maps = [],
          value_map = affine_map<(b, t, s, h, e, z) -> (b, s, h, e)>,
          output_map = affine_map<(b, t, s, h, e, z) -> (b, t, h, e)>}
          -> tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>
      return %y, %hk1, %hv1
          : tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<SSM_Shaped>:$queries,
                       Variadic<SSM_Shaped>:$keys,
                       Variadic<SSM_Shaped>:$score_ins, SSM_Shaped:$values,
                       Optional<SSM_Shaped>:$decays,
                       Variadic<SSM_Shaped>:$histories, Index:$position,
                       Variadic<SSM_Init>:$outs, UnitAttr:$softmax,
                       AffineMapAttr:$from_map, AffineMapAttr:$to_map,
                       AffineMapArrayAttr:$query_maps,
                       AffineMapArrayAttr:$key_maps,
                       AffineMapArrayAttr:$score_maps,
                       AffineMapAttr:$value_map,
                       OptionalAttr<AffineMapAttr>:$decay_map,
                       AffineMapAttr:$output_map);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$score);
  let assemblyFormat = [{
    (`softmax` $softmax^)?
    (`queries` `(` $queries^ `:` type($queries) `)`)?
    (`keys` `(` $keys^ `:` type($keys) `)`)?
    (`score_ins` `(` $score_ins^ `:` type($score_ins) `)`)?
    `values` `(` $values `:` type($values) `)`
    (`decays` `(` $decays^ `:` type($decays) `)`)?
    (`histories` `(` $histories^ `:` type($histories) `)`)?
    `position` `(` $position `)` `outs` `(` $outs `:` type($outs) `)`
    `from` $from_map `to` $to_map `score` $score attr-dict-with-keyword
    (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    unsigned getNumDims() { return getOutputMap().getNumDims(); }
    unsigned getNumPairs() { return getQueries().size(); }
    /// Dimensions of the output besides batch and sequence: d3, d4, ...
    unsigned getNumLanes() { return getOutputMap().getNumResults() - 2; }
    ::mlir::AffineMap getQueryMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getQueryMaps()[i]).getValue();
    }
    ::mlir::AffineMap getKeyMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getKeyMaps()[i]).getValue();
    }
    ::mlir::AffineMap getScoreMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getScoreMaps()[i]).getValue();
    }
    ::mlir::Value getOutput() { return getOuts().front(); }
    ::mlir::OperandRange getFinalHistories() { return getOuts().drop_front(); }
    ::mlir::ssm::YieldOp getScoreYield();
    /// What is read at `s`: keys, values, decays.
    ::llvm::SmallVector<::mlir::Value> getKeyed();
    /// Lanes on which the score depends; the others are the values' alone.
    ::llvm::SmallVector<unsigned> getScoreLanes();
    /// Dimensions that pair `i` sums over.
    ::llvm::SmallVector<unsigned> getContracted(unsigned i);
  }];
}

#endif // SSM_IR_SSMATTENDOP_TD

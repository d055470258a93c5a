//===- LowerGenericTest.cpp - Maps and contractions on vectors ------------===//

#include "LoweringCheck.h"
#include "gtest/gtest.h"

using namespace ssmc::test;

static const int64_t channelCounts[] = {0, 1, 5, 15, 16, 17, 48, 515};

TEST(LowerGeneric, Elementwise) {
  const char *text = R"(
    #id = affine_map<(b, t, e) -> (b, t, e)>
    func.func @f(%x: memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>,
                 %w: memref<$Exf32>, %y: memref<?x?x$Exf32>,
                 %z: memref<?x?x$Exf32>) {
      linalg.generic {indexing_maps = [#id, affine_map<(b, t, e) -> (e)>, #id,
                                       #id],
          iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%x, %w : memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>,
                       memref<$Exf32>)
          outs(%y, %z : memref<?x?x$Exf32>, memref<?x?x$Exf32>) {
      ^bb0(%a: f32, %b: f32, %old: f32, %o: f32):
        %e = math.exp %a : f32
        %m = arith.mulf %e, %b : f32
        %s = arith.addf %m, %old : f32
        %i = linalg.index 2 : index
        %j = arith.index_cast %i : index to i32
        %k = arith.sitofp %j : i32 to f32
        %v = arith.subf %k, %a : f32
        linalg.yield %s, %v : f32, f32
      }
      return
    })";
  for (int64_t bits : {128, 256, 512})
    for (int64_t channels : channelCounts)
      checkLowering(text, {{{"E", channels}}, 2, 7, bits});
  for (int64_t tokens : {0, 1, 33})
    checkLowering(text, {{{"E", 17}}, 3, tokens});
}

TEST(LowerGeneric, Doubles) {
  const char *text = R"(
    #id = affine_map<(b, t, e) -> (b, t, e)>
    func.func @f(%x: memref<?x?x$Exf64>, %y: memref<?x?x$Exf64>) {
      linalg.generic {indexing_maps = [#id, #id],
          iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%x : memref<?x?x$Exf64>) outs(%y : memref<?x?x$Exf64>) {
      ^bb0(%a: f64, %old: f64):
        %s = arith.mulf %a, %old : f64
        linalg.yield %s : f64
      }
      return
    })";
  for (int64_t channels : {1, 7, 8, 19})
    checkLowering(text, {{{"E", channels}}}, 1e-12);
}

TEST(LowerGeneric, GathersRowsOfATable) {
  const char *text = R"(
    func.func @f(%ids: memref<?x?xi64> {test.max = 9 : i64},
                 %table: memref<9x$Exf32>, %y: memref<?x?x$Exf32>) {
      linalg.generic {indexing_maps = [affine_map<(b, t, e) -> (b, t)>,
                                       affine_map<(b, t, e) -> (b, t, e)>],
          iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%ids : memref<?x?xi64>) outs(%y : memref<?x?x$Exf32>) {
      ^bb0(%id: i64, %old: f32):
        %row = arith.index_cast %id : i64 to index
        %e = linalg.index 2 : index
        %v = memref.load %table[%row, %e] : memref<9x$Exf32>
        linalg.yield %v : f32
      }
      return
    })";
  for (int64_t channels : {1, 16, 37})
    checkLowering(text, {{{"E", channels}}});
}

TEST(LowerGeneric, OddMaps) {
  const char *text = R"(
    func.func @f(%x: memref<?x?x2x$Pxf32>, %k: memref<6x$Pxf32>,
                 %s: memref<f32>, %cut: memref<?x?xi1>,
                 %y: memref<?x?x6x$Pxf32>) {
      linalg.generic {indexing_maps = [
            affine_map<(b, t, h, p) -> (b, t, h floordiv 3, p)>,
            affine_map<(b, t, h, p) -> (-h + 5, -p + $L)>,
            affine_map<(b, t, h, p) -> ()>,
            affine_map<(b, t, h, p) -> (b, t)>,
            affine_map<(b, t, h, p) -> (b, t, h, p)>],
          iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
          ins(%x, %k, %s, %cut : memref<?x?x2x$Pxf32>, memref<6x$Pxf32>,
              memref<f32>, memref<?x?xi1>)
          outs(%y : memref<?x?x6x$Pxf32>) {
      ^bb0(%a: f32, %b: f32, %c: f32, %d: i1, %old: f32):
        %m = arith.mulf %a, %b : f32
        %n = arith.addf %m, %c : f32
        %z = arith.select %d, %c, %n : f32
        linalg.yield %z : f32
      }
      return
    })";
  for (int64_t p : {1, 5, 16, 20})
    for (int64_t tokens : {0, 1, 9})
      checkLowering(text, {{{"P", p}, {"L", p - 1}}, 2, tokens});
}

TEST(LowerGeneric, ProductByRows) {
  // The weight's rows are contiguous along the sum: transposed in registers.
  const char *text = R"(
    func.func @f(%x: memref<?x?x$Kxf32>, %w: memref<$Nx$Kxf32>,
                 %y: memref<?x?x$Nxf32>) {
      linalg.generic {indexing_maps = [affine_map<(b, t, n, k) -> (b, t, k)>,
                                       affine_map<(b, t, n, k) -> (n, k)>,
                                       affine_map<(b, t, n, k) -> (b, t, n)>],
          iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
          ins(%x, %w : memref<?x?x$Kxf32>, memref<$Nx$Kxf32>)
          outs(%y : memref<?x?x$Nxf32>) {
      ^bb0(%a: f32, %b: f32, %acc: f32):
        %m = arith.mulf %a, %b : f32
        %s = arith.addf %acc, %m : f32
        linalg.yield %s : f32
      }
      return
    })";
  for (int64_t n : {1, 5, 16, 67})
    for (int64_t k : {0, 3, 16, 33})
      checkLowering(text, {{{"N", n}, {"K", k}}, 2, 9, 512});
  for (int64_t bits : {128, 256})
    checkLowering(text, {{{"N", 67}, {"K", 33}}, 2, 9, bits});
  for (int64_t tokens : {0, 1, 8, 65})
    checkLowering(text, {{{"N", 24}, {"K", 20}}, 1, tokens});
}

TEST(LowerGeneric, BatchedProduct) {
  const char *text = R"(
    func.func @f(%x: memref<?x?x3x$Jxf32>, %v: memref<?x$Jx3x$Pxf32>,
                 %y: memref<?x?x3x$Pxf32>) {
      linalg.generic {indexing_maps = [
            affine_map<(b, i, h, p, j) -> (b, i, h, j)>,
            affine_map<(b, i, h, p, j) -> (b, j, h, p)>,
            affine_map<(b, i, h, p, j) -> (b, i, h, p)>],
          iterator_types = ["parallel", "parallel", "parallel", "parallel",
                            "reduction"]}
          ins(%x, %v : memref<?x?x3x$Jxf32>, memref<?x$Jx3x$Pxf32>)
          outs(%y : memref<?x?x3x$Pxf32>) {
      ^bb0(%a: f32, %b: f32, %acc: f32):
        %m = arith.mulf %a, %b : f32
        %s = arith.addf %acc, %m : f32
        linalg.yield %s : f32
      }
      return
    })";
  for (int64_t p : {1, 16, 64, 70})
    for (int64_t j : {1, 17})
      for (int64_t tokens : {1, 7})
        checkLowering(text, {{{"P", p}, {"J", j}}, 2, tokens});
}

TEST(LowerGeneric, HorizontalReduction) {
  const char *text = R"(
    func.func @f(%x: memref<?x?x$Kxf32>, %y: memref<?x?xf32>,
                 %m: memref<?x?xf32>) {
      linalg.generic {indexing_maps = [affine_map<(b, t, k) -> (b, t, k)>,
                                       affine_map<(b, t, k) -> (b, t)>,
                                       affine_map<(b, t, k) -> (b, t)>],
          iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%x : memref<?x?x$Kxf32>)
          outs(%y, %m : memref<?x?xf32>, memref<?x?xf32>) {
      ^bb0(%a: f32, %acc: f32, %max: f32):
        %q = arith.mulf %a, %a : f32
        %s = arith.addf %acc, %q : f32
        %n = arith.maximumf %a, %max : f32
        linalg.yield %s, %n : f32, f32
      }
      return
    })";
  for (int64_t k : {0, 1, 3, 16, 33, 515})
    checkLowering(text, {{{"K", k}}});
}

TEST(LowerGeneric, FillAndCopy) {
  const char *text = R"(
    func.func @f(%x: memref<?x$Exf32>, %y: memref<?x$Exf32>,
                 %z: memref<?x$Exf32>, %s: memref<f32>) {
      %c = arith.constant 2.5 : f32
      linalg.fill ins(%c : f32) outs(%y : memref<?x$Exf32>)
      memref.copy %x, %z : memref<?x$Exf32> to memref<?x$Exf32>
      linalg.fill ins(%c : f32) outs(%s : memref<f32>)
      return
    })";
  for (int64_t channels : {1, 16, 37})
    checkLowering(text, {{{"E", channels}}});
}

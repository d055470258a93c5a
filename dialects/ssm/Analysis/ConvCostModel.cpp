//===- ConvCostModel.cpp - Clocks of long convolutions --------------------===//
//
// The counts follow from the algorithms; the constants at the top are what the
// code generator adds to them, fitted to measurements (docs/Performance.md says
// how).
//
//===----------------------------------------------------------------------===//

#include "ssm/Analysis/ConvCostModel.h"

#include "ssm/IR/SpectrumBlocks.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::ssm;

/// Share of the units for multiply-adds that the direct sum keeps busy, the clocks
/// of an output besides, for sums through memory, and those of all, for taps at the
/// ends that are added one by one.
static constexpr double directEfficiency = 0.85, directOutput = 20,
                        directOverhead = 2500;
/// Multiply-adds, and as many additions, of a level of a transform for a point.
static constexpr double levelSlots = 2, productSlots = 4;
static constexpr double transformEfficiency = 0.75;
/// Clocks of a point besides: passes through the caches, tokens in and out.
static constexpr double pointOverhead = 22;
/// Numbers of a unit's memory for a token and channel.
static constexpr double memoryOfToken = 4;
/// Of a unit: a slot of memory, loops of short passes.
static constexpr double unitOverhead = 1500;
/// The same where all blocks have one size and threads share them. A level takes three
/// slots of a point, and four on the way back, which cannot merge as many additions with
/// products; the efficiencies are those of that code and of direct sums on an H200, where long sums
/// reach 0.6 and sums over some hundred lags 0.3. What goes through memory: tokens to where
/// transforms are and sums back, six numbers a token, and two more for each piece and for
/// what is kept. A direct sum has clocks of its own for an output, and any form some for a
/// call.
static constexpr double threadedLevelSlots = 7, threadedEfficiency = 0.6,
                        threadedDirectEfficiency = 0.45, threadedDirectOutput = 100,
                        threadedCall = 30000, tokenNumbers = 6,
                        pieceNumbers = 2, numberBytes = 4;
/// Lengths at which the two are compared.
static constexpr int64_t longestCompared = 4096, comparedStep = 16;

ConvCostModel::ConvCostModel(ConvOp conv, const Machine &machine)
    : firstLag(static_cast<int64_t>(conv.getStaticFirst())),
      lastLag(std::numeric_limits<double>::infinity()),
      fmaPerClock(std::max(machine.fmaPerClock, 0.5)), machine(machine) {
  if (conv.getFirst())
    firstLag = -lastLag;
  if (std::optional<int64_t> reach = conv.getReach())
    lastLag = static_cast<double>(*reach);
}

ConvCostModel::ConvCostModel(const Machine &machine)
    : firstLag(0), lastLag(std::numeric_limits<double>::infinity()),
      fmaPerClock(std::max(machine.fmaPerClock, 0.5)), machine(machine) {}

double ConvCostModel::countTaps(double length) const {
  // Pairs at most `lag` apart; those ahead have a negative lag.
  auto upTo = [&](double lag) {
    auto below = [&](double distance) {
      double most = std::max(length - distance, 0.0);
      return most * (most + 1) / 2;
    };
    return lag >= 0 ? length * length - below(lag + 1) : below(-lag);
  };
  return upTo(lastLag) - upTo(firstLag - 1);
}

double ConvCostModel::getDirectClocks(int64_t length) const {
  if (machine.transformPoints > 0)
    return countTaps(length) / (fmaPerClock * threadedDirectEfficiency) +
           threadedDirectOutput * length + threadedCall;
  return countTaps(length) / (fmaPerClock * directEfficiency) +
         directOutput * length + directOverhead;
}

/// A pass takes three levels of the tree of transforms, and an eighth of the data goes
/// through the rest: only the first passes leave the second cache. Each reads and writes
/// two numbers for a point, forward and back.
double ConvCostModel::getFarPasses(double tokens) const {
  double vector = machine.vectorBits / 8, clocks = 0;
  for (double bytes = memoryOfToken * vector * tokens; bytes > machine.l2Bytes / 2;
       bytes /= 8)
    clocks += 2 * 2 * 2 * vector / machine.getBytesPerClock(bytes);
  return clocks;
}

double ConvCostModel::countPieces(double blocks, double block, double lags) const {
  return std::min((blocks + 1) / 2 * (firstLag < 0 ? 2 : 1), lags / block + 1);
}

double ConvCostModel::getThreadedClocks(double length, double lags) const {
  double block = machine.transformPoints, blocks = std::ceil(length / block);
  double pieces = countPieces(blocks, block, lags);
  double slots = threadedLevelSlots * std::log2(block) + productSlots * pieces;
  double numbers = pieceNumbers * (pieces + (blocks > 1 ? 1 : 0));
  double bytes = machine.vectorBits / 32 * numberBytes;
  return blocks * block *
             (slots / (fmaPerClock * threadedEfficiency) +
              numbers * bytes / machine.l3BytesPerClock) +
         length * tokenNumbers * bytes / machine.memoryBytesPerClock + threadedCall;
}

double ConvCostModel::getTransformClocks(int64_t length) const {
  double lags = std::min(lastLag, length - 1.0) -
                std::max(firstLag, 1.0 - length) + 1;
  if (machine.transformPoints > 0)
    return getThreadedClocks(length, lags);
  int64_t largest = getLargestBlock(std::max<int64_t>(1, std::llround(lags)));
  int64_t block = kFirstBlock;
  while (block < largest && length > kMaxBlocks * block)
    block *= 4;
  double blocks = llvm::divideCeil(length, block);
  double pieces = countPieces(blocks, block, lags);
  double slots = 2 * levelSlots * std::log2(double(block)) +
                 productSlots * pieces;
  double clocks = slots / (fmaPerClock * transformEfficiency) + pointOverhead +
                  getFarPasses(blocks * block);
  return clocks * blocks * block + unitOverhead;
}

std::optional<int64_t> ConvCostModel::getCrossover() const {
  std::optional<int64_t> shortest;
  for (int64_t length = longestCompared; length >= kShortestTransform;
       length -= comparedStep) {
    if (getTransformClocks(length) > getDirectClocks(length))
      break;
    shortest = length;
  }
  return shortest;
}

std::optional<int64_t> mlir::ssm::chooseShortestTransform(ConvOp conv, StringRef form) {
  if (form == "direct" || conv.getCut())
    return std::nullopt;
  if (form == "fft")
    return 0;
  Machine machine = Machine::get(conv);
  return ConvCostModel(conv, machine).getCrossover();
}

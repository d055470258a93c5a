//===- Plot.cpp - Curves as SVG -------------------------------------------===//

#include "Plot.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <cmath>

using namespace ssmc;

namespace {
/// A logarithmic axis, from data to pixels.
struct Axis {
  double low, high;   // of the data
  double begin, end;  // in pixels
  double at(double value) const {
    return begin + (end - begin) * std::log(value / low) / std::log(high / low);
  }
};

constexpr double width = 760, height = 460;
constexpr double left = 86, right = 628, top = 46, bottom = 402;

// Told apart by those who see colours differently (Okabe and Ito), and by dashes where
// one curve lies on another.
constexpr const char *colours[] = {"#000000", "#d55e00", "#0072b2",
                                   "#009e73", "#cc79a7", "#e69f00"};
constexpr const char *dashes[] = {"none", "9 4", "3 3", "12 3 3 3", "6 6", "2 5"};
} // namespace

static bool isDrawn(const std::pair<double, double> &point) {
  return point.first > 0 && point.second > 0 && std::isfinite(point.second);
}

bool ssmc::hasPoints(llvm::ArrayRef<Curve> curves) {
  return llvm::any_of(curves,
                      [](const Curve &curve) { return llvm::any_of(curve.points, isDrawn); });
}

static std::string escape(llvm::StringRef text) {
  std::string result;
  for (char c : text)
    result += c == '<'   ? "&lt;"
              : c == '>' ? "&gt;"
              : c == '&' ? "&amp;"
              : c == '"' ? "&quot;"
                         : std::string(1, c);
  return result;
}

static std::string number(double value) {
  return llvm::formatv("{0:f1}", value).str();
}

/// "2K" for 2048: as lengths are given on the command line.
static std::string lengthText(double length) {
  int64_t count = std::llround(length);
  for (auto [size, suffix] : {std::pair(int64_t(1) << 20, "M"), std::pair(int64_t(1) << 10, "K")})
    if (count >= size && count % size == 0)
      return std::to_string(count / size) + suffix;
  return std::to_string(count);
}

static std::string timeText(double seconds) {
  for (auto [size, unit] : {std::pair(1.0, "s"), std::pair(1e-3, "ms"), std::pair(1e-6, "µs")})
    if (seconds >= 0.999 * size)
      return llvm::formatv("{0} {1}", llvm::format("%g", std::round(seconds / size)), unit);
  return llvm::formatv("{0} ns", llvm::format("%g", std::round(seconds * 1e9)));
}

/// Powers of two, not too many.
static std::vector<double> lengthTicks(const Axis &axis) {
  int first = int(std::ceil(std::log2(axis.low) - 1e-9));
  int last = int(std::floor(std::log2(axis.high) + 1e-9));
  int step = (last - first) / 10 + 1;
  std::vector<double> ticks;
  for (int power = first; power <= last; power += step)
    ticks.push_back(std::exp2(power));
  return ticks;
}

/// Powers of ten; with 2 and 5 between where there are few.
static std::vector<double> timeTicks(const Axis &axis) {
  bool isNarrow = axis.high / axis.low < 300;
  std::vector<double> ticks;
  for (int power = -10; power < 6; ++power)
    for (double digit : {1.0, 2.0, 5.0}) {
      double tick = digit * std::pow(10.0, power);
      if ((digit == 1 || isNarrow) && tick >= axis.low * 0.999 && tick <= axis.high * 1.001)
        ticks.push_back(tick);
    }
  return ticks;
}

static void line(llvm::raw_ostream &os, double x1, double y1, double x2, double y2,
                 const char *colour) {
  os << "<line x1=\"" << number(x1) << "\" y1=\"" << number(y1) << "\" x2=\""
     << number(x2) << "\" y2=\"" << number(y2) << "\" stroke=\"" << colour << "\"/>\n";
}

static void label(llvm::raw_ostream &os, double x, double y, const char *anchor,
                  const std::string &text, const char *more = "") {
  os << "<text x=\"" << number(x) << "\" y=\"" << number(y) << "\" text-anchor=\""
     << anchor << "\"" << more << ">" << escape(text) << "</text>\n";
}

static void drawCurve(llvm::raw_ostream &os, const Curve &curve, size_t index,
                      const Axis &x, const Axis &y) {
  const char *colour = colours[index % std::size(colours)];
  os << "<g stroke=\"" << colour << "\" fill=\"" << colour << "\">\n<polyline fill=\"none\" "
     << "stroke-width=\"2\" stroke-dasharray=\"" << dashes[index % std::size(dashes)]
     << "\" points=\"";
  const char *separator = "";
  for (const auto &point : curve.points)
    if (isDrawn(point)) {
      os << separator << number(x.at(point.first)) << "," << number(y.at(point.second));
      separator = " ";
    }
  os << "\"/>\n";
  for (const auto &point : curve.points)
    if (isDrawn(point))
      os << "<circle cx=\"" << number(x.at(point.first)) << "\" cy=\""
         << number(y.at(point.second)) << "\" r=\"3\"><title>"
         << escape(curve.name + ", length " + lengthText(point.first) + ": " +
                   llvm::formatv("{0} ms", llvm::format("%.4g", point.second * 1e3)).str())
         << "</title></circle>\n";
  os << "</g>\n";
  // The legend, a line a curve.
  double place = top + 12 + 20 * double(index);
  os << "<line x1=\"" << number(right + 14) << "\" y1=\"" << number(place - 4) << "\" x2=\""
     << number(right + 44) << "\" y2=\"" << number(place - 4) << "\" stroke=\"" << colour
     << "\" stroke-width=\"2\" stroke-dasharray=\"" << dashes[index % std::size(dashes)]
     << "\"/>\n";
  label(os, right + 50, place, "start", curve.name);
}

std::string ssmc::plotTimes(const std::string &title, llvm::ArrayRef<Curve> curves) {
  Axis x{INFINITY, 0, left, right}, y{INFINITY, 0, bottom, top};
  for (const Curve &curve : curves)
    for (const auto &point : curve.points)
      if (isDrawn(point)) {
        x.low = std::min(x.low, point.first), x.high = std::max(x.high, point.first);
        y.low = std::min(y.low, point.second), y.high = std::max(y.high, point.second);
      }
  // Air around the points, and an extent where there is one alone.
  x.low /= x.high > x.low ? 1.1 : 2, x.high *= x.high > 2 * x.low ? 1.1 : 2;
  y.low /= 1.5, y.high *= 1.5;

  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::formatv("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:f0}\" "
                      "height=\"{1:f0}\" viewBox=\"0 0 {0:f0} {1:f0}\" "
                      "font-family=\"sans-serif\" font-size=\"13\">\n",
                      width, height)
     << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  label(os, left, top - 18, "start", title, " font-size=\"15\"");
  for (double tick : lengthTicks(x)) {
    line(os, x.at(tick), top, x.at(tick), bottom, "#dddddd");
    label(os, x.at(tick), bottom + 19, "middle", lengthText(tick));
  }
  for (double tick : timeTicks(y)) {
    line(os, left, y.at(tick), right, y.at(tick), "#dddddd");
    label(os, left - 8, y.at(tick) + 4, "end", timeText(tick));
  }
  line(os, left, bottom, right, bottom, "black");
  line(os, left, top, left, bottom, "black");
  label(os, (left + right) / 2, height - 14, "middle", "length");
  label(os, 22, (top + bottom) / 2, "middle", "time for the sequence",
        llvm::formatv(" transform=\"rotate(-90 22 {0:f0})\"", (top + bottom) / 2)
            .str()
            .c_str());
  for (auto [index, curve] : llvm::enumerate(curves))
    drawCurve(os, curve, index, x, y);
  os << "</svg>\n";
  return text;
}

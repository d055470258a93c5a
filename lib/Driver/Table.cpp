//===- Table.cpp - Aligned columns ----------------------------------------===//

#include "Table.h"

#include "llvm/ADT/STLExtras.h"
#include <cmath>
#include <cstdio>

using namespace ssmc;

Table::Table(std::vector<std::string> names) {
  for (std::string &name : names) {
    flushRight.push_back(!name.empty() && name[0] == '>');
    headings.push_back(flushRight.back() ? name.substr(1) : name);
  }
}

void Table::print(llvm::raw_ostream &os, unsigned indent) const {
  std::vector<size_t> widths(headings.size());
  auto widen = [&](const std::vector<std::string> &cells) {
    for (size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], cells[i].size());
  };
  widen(headings);
  llvm::for_each(rows, widen);
  auto printRow = [&](const std::vector<std::string> &cells) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < cells.size(); ++i) {
      std::string padding(widths[i] - cells[i].size(), ' ');
      line += i ? "  " : "";
      line += flushRight[i] ? padding + cells[i] : cells[i] + padding;
    }
    os << llvm::StringRef(line).rtrim() << '\n';
  };
  if (llvm::any_of(headings, [](const std::string &name) { return !name.empty(); }))
    printRow(headings);
  llvm::for_each(rows, printRow);
}

void Table::printCSV(llvm::raw_ostream &os) const {
  auto printRow = [&](const std::vector<std::string> &cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      bool quoted = cells[i].find_first_of(",\"\n") != std::string::npos;
      os << (i ? "," : "") << (quoted ? "\"" : "");
      for (char c : cells[i])
        os << (c == '"' ? "\"\"" : std::string(1, c));
      os << (quoted ? "\"" : "");
    }
    os << '\n';
  };
  printRow(headings);
  llvm::for_each(rows, printRow);
}

std::string ssmc::numberText(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

std::string ssmc::bytesText(double bytes) {
  static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit)
    bytes /= 1024;
  char text[32];
  std::snprintf(text, sizeof(text), unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes,
                units[unit]);
  return text;
}

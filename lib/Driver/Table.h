//===- Table.h - Aligned columns -------------------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_TABLE_H
#define SSMC_LIB_DRIVER_TABLE_H

#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace ssmc {

class Table {
public:
  /// A heading that begins with '>' makes its column flush right.
  explicit Table(std::vector<std::string> headings);
  void add(std::vector<std::string> cells) { rows.push_back(std::move(cells)); }
  bool empty() const { return rows.empty(); }
  void print(llvm::raw_ostream &os, unsigned indent = 0) const;
  void printCSV(llvm::raw_ostream &os) const;

private:
  std::vector<std::string> headings;
  std::vector<bool> flushRight;
  std::vector<std::vector<std::string>> rows;
};

/// "1.5 MB", in powers of 1024.
std::string bytesText(double bytes);
/// Three significant digits: "0.0123", "12.3", "1.23e-07".
std::string numberText(double value);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_TABLE_H

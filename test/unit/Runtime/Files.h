//===- Files.h - Temporary files of tests ---------------------------------===//

#ifndef SSMRT_UNIT_FILES_H
#define SSMRT_UNIT_FILES_H

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace ssmrt_test {

/// A fixture with a directory of its own, removed at the end.
class WithFiles : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ssmrt-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string path(const std::string &name) const {
    return (folder / name).string();
  }
  std::string write(const std::string &name, const std::string &content) const {
    std::ofstream(folder / name, std::ios::binary) << content;
    return path(name);
  }
  std::string read(const std::string &name) const {
    std::ifstream stream(folder / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  /// The last error, with the directory cut out.
  std::string shorten(std::string message) const {
    std::string prefix = folder.string() + "/";
    for (size_t at; (at = message.find(prefix)) != std::string::npos;)
      message.erase(at, prefix.size());
    return message;
  }

  std::filesystem::path folder;
};

} // namespace ssmrt_test

#endif // SSMRT_UNIT_FILES_H

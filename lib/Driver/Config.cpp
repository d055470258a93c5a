//===- Config.cpp - JSON as Hugging Face writes it ------------------------===//

#include "Config.h"
#include "Error.h"

#include "llvm/ADT/STLExtras.h"

using namespace ssmc;

/// Puts Python's bare words for special numbers into the form of an object, which
/// plain JSON can hold. Words inside strings stay.
static std::string quoteSpecialNumbers(llvm::StringRef text) {
  static constexpr llvm::StringLiteral words[] = {"-Infinity", "Infinity", "NaN"};
  std::string result;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const llvm::StringLiteral *word = nullptr;
    if (!inString)
      word = llvm::find_if(words, [&](llvm::StringRef candidate) {
        return text.substr(i).starts_with(candidate);
      });
    if (word && word != std::end(words)) {
      result += ("{\"__float__\": \"" + *word + "\"}").str();
      i += word->size() - 1;
      continue;
    }
    if (text[i] == '"')
      inString = !inString;
    result += text[i];
    if (inString && text[i] == '\\' && i + 1 < text.size())
      result += text[++i];
  }
  return result;
}

/// llvm::json recurses; a file of brackets must not exhaust the stack.
static bool isTooDeep(llvm::StringRef text) {
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (inString) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        inString = false;
      continue;
    }
    if (text[i] == '"')
      inString = true;
    else if (text[i] == '{' || text[i] == '[')
      ++depth;
    else if (text[i] == '}' || text[i] == ']')
      --depth;
    if (depth > 200)
      return true;
  }
  return false;
}

llvm::Expected<llvm::json::Object> ssmc::parseConfig(llvm::StringRef path,
                                                     llvm::StringRef text) {
  if (isTooDeep(text))
    return failure(path + ": more than 200 nested brackets");
  auto value = llvm::json::parse(quoteSpecialNumbers(text));
  if (!value)
    return failure(path + ": not JSON: " + llvm::toString(value.takeError()));
  llvm::json::Object *object = value->getAsObject();
  if (!object)
    return failure(path + ": not a JSON object");
  return std::move(*object);
}

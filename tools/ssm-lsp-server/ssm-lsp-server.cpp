//===- ssm-lsp-server.cpp - Language server of MLIR text and of specs -----===//
//
// An editor starts one server a language: without an option it is MLIR's server
// with our dialects, with --ssm it serves specs. --lit-test, as in MLIR's server,
// reads messages between `// -----` lines.
//
//===----------------------------------------------------------------------===//

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "ssmc/InitAll.h"
#include "ssmc/LanguageServer/SpecServer.h"
#include "llvm/Support/Program.h"

namespace lsp = llvm::lsp;

int main(int argc, char **argv) {
  if (argc > 1 && llvm::StringRef(argv[1]) == "--ssm") {
    bool test = argc == 3 && llvm::StringRef(argv[2]) == "--lit-test";
    if (argc > 2 && !test) {
      llvm::errs() << "ssm-lsp-server --ssm: unknown option '" << argv[2]
                   << "'; it takes --lit-test\n";
      return 1;
    }
    if (test)
      lsp::URIForFile::registerSupportedScheme("test");
    (void)llvm::sys::ChangeStdinToBinary();
    lsp::JSONTransport transport(
        stdin, llvm::outs(),
        test ? lsp::JSONStreamStyle::Delimited : lsp::JSONStreamStyle::Standard, test);
    return ssmc::serveSpecs(transport) ? 0 : 1;
  }
  mlir::DialectRegistry registry;
  ssmc::registerAll(registry);
  return failed(mlir::MlirLspServerMain(argc, argv, registry));
}

//===- SpecServer.cpp - Errors of .ssm text in an editor ------------------===//
//
// Each time a text is opened or changed, all of its layers are checked, and what
// the front end says is published. A note becomes related information where it is
// in the same text; the standard library has no file an editor could open, so that
// notes there join the message.
//
//===----------------------------------------------------------------------===//

#include "ssmc/LanguageServer/SpecServer.h"
#include "mlir/IR/MLIRContext.h"
#include "ssmc/Frontend/Frontend.h"

using namespace ssmc;
namespace lsp = llvm::lsp;

/// The protocol counts columns in UTF-16 units, the front end in bytes.
static int utf16Column(llvm::StringRef line, size_t bytes) {
  int units = 0;
  for (unsigned char c : line.take_front(bytes))
    units += (c & 0xC0) == 0x80 ? 0 : c >= 0xF0 ? 2 : 1;
  return units;
}

/// The range of a diagnostic on its first line, at least one column wide.
static lsp::Range rangeOf(const llvm::SMDiagnostic &diagnostic) {
  int line = std::max(diagnostic.getLineNo() - 1, 0);
  unsigned begin = std::max(diagnostic.getColumnNo(), 0), end = begin;
  for (auto [from, to] : diagnostic.getRanges())
    if (from == begin)
      end = to;
  llvm::StringRef text = diagnostic.getLineContents();
  int first = utf16Column(text, begin);
  int last = std::max(utf16Column(text, end), first + 1);
  return lsp::Range(lsp::Position(line, first), lsp::Position(line, last));
}

namespace {
/// What the front end says of one text.
class Collector {
public:
  Collector(const lsp::URIForFile &uri, llvm::StringRef name) : uri(uri), name(name) {}
  std::vector<lsp::Diagnostic> diagnostics;

  void add(const llvm::SMDiagnostic &found) {
    bool here = found.getFilename() == name && found.getLineNo() > 0;
    if (found.getKind() == llvm::SourceMgr::DK_Note && !diagnostics.empty()) {
      lsp::Diagnostic &last = diagnostics.back();
      if (!here) {
        last.message += "\n" + placeOf(found) + "note: " + found.getMessage().str();
        return;
      }
      if (!last.relatedInformation)
        last.relatedInformation.emplace();
      last.relatedInformation->emplace_back(lsp::Location(uri, rangeOf(found)),
                                            found.getMessage().str());
      return;
    }
    lsp::Diagnostic diagnostic;
    diagnostic.severity = found.getKind() == llvm::SourceMgr::DK_Error
                              ? lsp::DiagnosticSeverity::Error
                              : lsp::DiagnosticSeverity::Warning;
    diagnostic.source = "ssmc";
    diagnostic.message = (here ? "" : placeOf(found)) + found.getMessage().str();
    if (here)
      diagnostic.range = rangeOf(found);
    diagnostics.push_back(std::move(diagnostic));
  }

private:
  static std::string placeOf(const llvm::SMDiagnostic &found) {
    if (found.getLineNo() <= 0)
      return "";
    return found.getFilename().str() + ":" + std::to_string(found.getLineNo()) + ": ";
  }

  const lsp::URIForFile &uri;
  llvm::StringRef name;
};

class SpecServer : public lsp::MessageHandler {
public:
  SpecServer(lsp::JSONTransport &transport) : lsp::MessageHandler(transport) {
    method("initialize", this, &SpecServer::onInitialize);
    method("shutdown", this, &SpecServer::onShutdown);
    notification("initialized", this, &SpecServer::onInitialized);
    notification("textDocument/didOpen", this, &SpecServer::onOpen);
    notification("textDocument/didChange", this, &SpecServer::onChange);
    notification("textDocument/didClose", this, &SpecServer::onClose);
    publish = outgoingNotification<lsp::PublishDiagnosticsParams>(
        "textDocument/publishDiagnostics");
  }
  bool shutDown = false;

private:
  void onInitialize(const lsp::InitializeParams &,
                    lsp::Callback<llvm::json::Value> reply) {
    llvm::json::Object sync{{"openClose", true},
                            {"change", int(lsp::TextDocumentSyncKind::Full)}};
    reply(llvm::json::Object{
        {"serverInfo", llvm::json::Object{{"name", "ssm-lsp-server"}}},
        {"capabilities", llvm::json::Object{{"textDocumentSync", std::move(sync)}}}});
  }
  void onInitialized(const lsp::InitializedParams &) {}
  void onShutdown(const lsp::NoParams &, lsp::Callback<std::nullptr_t> reply) {
    shutDown = true;
    reply(nullptr);
  }

  void onOpen(const lsp::DidOpenTextDocumentParams &params) {
    check(params.textDocument.uri, params.textDocument.text, params.textDocument.version);
  }
  void onChange(const lsp::DidChangeTextDocumentParams &params) {
    // Each change is the whole text: see onInitialize.
    if (!params.contentChanges.empty())
      check(params.textDocument.uri, params.contentChanges.back().text,
            params.textDocument.version);
  }
  void onClose(const lsp::DidCloseTextDocumentParams &params) {
    publish({params.textDocument.uri, 0});
  }

  void check(const lsp::URIForFile &uri, llvm::StringRef text, int64_t version) {
    llvm::SourceMgr sources;
    Collector collector(uri, uri.file());
    sources.setDiagHandler(
        [](const llvm::SMDiagnostic &found, void *to) {
          static_cast<Collector *>(to)->add(found);
        },
        &collector);
    checkSource(context, sources, llvm::MemoryBuffer::getMemBufferCopy(text, uri.file()),
                llvm::nulls());
    lsp::PublishDiagnosticsParams params(uri, version);
    params.diagnostics = std::move(collector.diagnostics);
    publish(params);
  }

  mlir::MLIRContext context;
  lsp::OutgoingNotification<lsp::PublishDiagnosticsParams> publish;
};
} // namespace

bool ssmc::serveSpecs(lsp::JSONTransport &transport) {
  SpecServer server(transport);
  if (llvm::Error error = transport.run(server)) {
    lsp::Logger::error("{0}", llvm::toString(std::move(error)));
    return false;
  }
  return server.shutDown;
}

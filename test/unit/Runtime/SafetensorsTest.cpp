//===- SafetensorsTest.cpp - Weight files ---------------------------------===//

#include "FakeModule.h"
#include "Files.h"

using namespace ssmrt_test;

namespace {

std::string pack(const std::string &header, const std::string &data = "") {
  std::string result(8, '\0');
  for (int i = 0; i < 8; ++i)
    result[i] = static_cast<char>(header.size() >> (8 * i));
  return result + header + data;
}

std::string pack(const std::string &header, size_t bytes) {
  return pack(header, std::string(bytes, '\0'));
}

class Safetensors : public WithFiles {
protected:
  ~Safetensors() override { ssmrt_weights_close(weights); }

  ssmrt_status open(const std::string &name) {
    ssmrt_weights_close(weights);
    weights = nullptr;
    return ssmrt_weights_open(path(name).c_str(), &weights);
  }

  /// The message that a file of this content gives.
  std::string errorOf(const std::string &content,
                      const std::string &name = "a.safetensors") {
    write(name, content);
    EXPECT_EQ(open(name), SSMRT_BAD_FILE);
    EXPECT_EQ(weights, nullptr);
    return shorten(ssmrt_last_error());
  }

  ssmrt_weights *weights = nullptr;
};

TEST_F(Safetensors, Reads) {
  float values[] = {1, 2, 3, 4, 5, 6};
  std::string data(reinterpret_cast<char *>(values), sizeof(values));
  write("a.safetensors",
        pack(R"({"__metadata__":{"format":"pt"},)"
             R"("b\u00e9\ud83d\ude00":{"dtype":"F32","shape":[2,2],)"
             R"("data_offsets":[0,16]},)"
             R"("a":{"data_offsets":[16,24],"extra":[{"x":[1e-5,-0.5,null]}],)"
             R"("shape":[],"dtype":"F64"}, "empty" : {"dtype":"I8",)"
             R"("shape":[0,7],"data_offsets":[24,24]}}   )",
             data));
  ASSERT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
  ASSERT_EQ(ssmrt_weights_count(weights), 3);
  EXPECT_STREQ(ssmrt_weights_name(weights, 0), "b\u00e9\U0001F600");
  EXPECT_STREQ(ssmrt_weights_name(weights, 1), "a");
  EXPECT_EQ(ssmrt_weights_name(weights, 3), nullptr);
  ssmrt_tensor tensor;
  ASSERT_EQ(ssmrt_weights_find(weights, "b\u00e9\U0001F600", &tensor),
            SSMRT_OK);
  EXPECT_EQ(tensor.ndim, 2);
  EXPECT_EQ(tensor.shape[1], 2);
  EXPECT_STREQ(ssmrt_dtype_name(tensor.dtype), "f32");
  EXPECT_EQ(std::memcmp(tensor.data, values, 16), 0);
  ASSERT_EQ(ssmrt_weights_at(weights, 1, &tensor), SSMRT_OK);
  EXPECT_EQ(tensor.ndim, 0);
  EXPECT_EQ(std::memcmp(tensor.data, values + 4, 8), 0);
  EXPECT_EQ(ssmrt_weights_at(weights, 3, &tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_weights_find(weights, nullptr, &tensor), SSMRT_BAD_ARGUMENT);
}

TEST_F(Safetensors, DTypes) {
  const std::pair<const char *, const char *> dtypes[] = {
      {"F64", "f64"}, {"F32", "f32"}, {"F16", "f16"}, {"BF16", "bf16"},
      {"I64", "i64"}, {"I32", "i32"}, {"I16", "i16"}, {"I8", "i8"},
      {"U64", "u64"}, {"U32", "u32"}, {"U16", "u16"}, {"U8", "u8"},
      {"BOOL", "bool"}};
  for (auto [stored, name] : dtypes) {
    size_t size = name[0] == 'b' && name[1] == 'o' ? 1
                  : std::string(name).find("64") != std::string::npos ? 8
                  : std::string(name).find("32") != std::string::npos ? 4
                  : std::string(name).find("16") != std::string::npos ? 2
                                                                      : 1;
    write("a.safetensors",
          pack(std::string(R"({"x":{"dtype":")") + stored +
                   R"(","shape":[1],"data_offsets":[0,)" +
                   std::to_string(size) + "]}}",
               size));
    ASSERT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
    ssmrt_tensor tensor;
    ASSERT_EQ(ssmrt_weights_find(weights, "x", &tensor), SSMRT_OK);
    EXPECT_STREQ(ssmrt_dtype_name(tensor.dtype), name);
  }
  // Complex: a last axis of 2. Other dtypes: only an error when asked for.
  write("a.safetensors",
        pack(R"({"c":{"dtype":"C64","shape":[3],"data_offsets":[0,24]},)"
             R"("f":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[24,26]}})",
             26));
  ASSERT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
  ssmrt_tensor tensor;
  ASSERT_EQ(ssmrt_weights_find(weights, "c", &tensor), SSMRT_OK);
  ASSERT_EQ(tensor.ndim, 2);
  EXPECT_EQ(tensor.shape[0], 3);
  EXPECT_EQ(tensor.shape[1], 2);
  EXPECT_EQ(ssmrt_weights_find(weights, "f", &tensor), SSMRT_BAD_FILE);
}

// An odd header, and an odd tensor before others: views are aligned anyway.
TEST_F(Safetensors, OddAddresses) {
  double value = 42;
  std::string eight(reinterpret_cast<char *>(&value), 8);
  for (const char *pad : {"", " ", "  ", "   ", "    ", "     "}) {
    write("a.safetensors",
          pack(std::string(R"({"b":{"dtype":"BOOL","shape":[3],)"
                           R"("data_offsets":[0,3]},"x":{"dtype":"F64",)"
                           R"("shape":[1],"data_offsets":[3,11]},)"
                           R"("y":{"dtype":"F64","shape":[1],)"
                           R"("data_offsets":[11,19]}})") +
                   pad,
               "abc" + eight + eight));
    ASSERT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
    ssmrt_tensor tensor;
    for (const char *name : {"x", "y"}) {
      ASSERT_EQ(ssmrt_weights_find(weights, name, &tensor), SSMRT_OK);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 8, 0u);
      EXPECT_EQ(*static_cast<double *>(tensor.data), 42);
    }
    ASSERT_EQ(ssmrt_weights_find(weights, "b", &tensor), SSMRT_OK);
    EXPECT_EQ(std::memcmp(tensor.data, "abc", 3), 0);
  }
}

TEST_F(Safetensors, Frames) {
  EXPECT_EQ(errorOf(""),
            "a.safetensors: 0 bytes; wanted at least the 8 of a header's "
            "length");
  EXPECT_EQ(errorOf("1234567"),
            "a.safetensors: 7 bytes; wanted at least the 8 of a header's "
            "length");
  EXPECT_EQ(errorOf(std::string("\x10\0\0\0\0\0\0\0{}", 10)),
            "a.safetensors: a header of 16 bytes; wanted at most 2, what the "
            "file has left");
  EXPECT_EQ(errorOf(std::string(8, '\xFF') + "{}"),
            "a.safetensors: a header of 18446744073709551615 bytes; wanted at "
            "most 2, what the file has left");
  EXPECT_EQ(errorOf(pack("")),
            "a.safetensors: malformed JSON at offset 0 in the header: wanted "
            "'{', found the end");
  EXPECT_EQ(errorOf(pack("{}", 4)),
            "a.safetensors: 4 bytes of data; wanted 0, the end of the last "
            "tensor");
  write("a.safetensors", pack("{}"));
  EXPECT_EQ(open("a.safetensors"), SSMRT_OK);
  EXPECT_EQ(ssmrt_weights_count(weights), 0);
}

TEST_F(Safetensors, JSON) {
  const std::string bad[] = {
      "[]",
      "{",
      "{}x",
      "{\"a\"}",
      "{\"a\":1}",
      "{\"a\":{}}",
      "{\"a\":{},}",
      "{\"a",
      "{\"a\\",
      "{\"a\\x\":1}",
      "{\"a\\u12\":1}",
      "{\"a\\u0000\":1}",
      "{\"a\\ud800\":1}",
      "{\"a\\ud800\\u0041\":1}",
      "{\"a\\udc00\":1}",
      "{\"\x01\":1}",
      "{\"\xC0\x80\":1}",
      "{\"\xED\xA0\x80\":1}",
      "{\"\xF5\x80\x80\x80\":1}",
      "{\"\xE2\x82\":1}",
      "{\"\xFF\":1}",
      R"({"__metadata__":[]})",
      R"({"__metadata__":{"a":1}})",
      R"({"__metadata__":{},"__metadata__":{}})",
      R"({"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[9223372036854775808],)"
      R"("data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,2,4]}})",
      R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1]}})",
      R"({"a":{"x":tru,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":-,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":1.,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":1e,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":[1 2],"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":[1},"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"x":{1:2},"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      "{\"a\":{\"x\":" + std::string(100000, '['),
      "{\"a\":{\"x\":" + std::string(65, '[') + std::string(65, ']') +
          R"(,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
  };
  for (const std::string &header : bad)
    EXPECT_EQ(errorOf(pack(header, 4)).rfind("a.safetensors: ", 0), 0u)
        << header;
  write("a.safetensors",
        pack("{\"a\":{\"x\":" + std::string(64, '[') + std::string(64, ']') +
                 R"(,"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
             4));
  EXPECT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
}

TEST_F(Safetensors, Ranges) {
  auto entry = [](const std::string &name, const std::string &shape, int begin,
                  int end, const std::string &dtype = "F32") {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":[" + std::to_string(begin) + "," +
           std::to_string(end) + "]}";
  };
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[2]", 0, 8) + "}", 4)),
            "a.safetensors: tensor 'a': data_offsets [0, 8]; wanted a range "
            "within the 4 bytes of data");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[2]", 8, 0) + "}", 8)),
            "a.safetensors: tensor 'a': data_offsets [8, 0]; wanted a range "
            "within the 8 bytes of data");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[3]", 0, 8) + "}", 8)),
            "a.safetensors: tensor 'a': F32 [3] has 8 bytes; wanted 12");
  EXPECT_EQ(errorOf(pack("{" +
                             entry("a", "[4294967296,4294967296,4]", 0, 8) +
                             "}",
                         8)),
            "a.safetensors: tensor 'a': shape [4294967296, 4294967296, 4] has "
            "more elements than any file");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[2]", 0, 8, "F33") + "}", 8)),
            "a.safetensors: tensor 'a': unknown dtype 'F33'");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[1]", 0, 1, "F4") + "}", 1)),
            "a.safetensors: tensor 'a': F4 [1] has 1 bytes; wanted 0");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[2]", 0, 8) + "," +
                             entry("b", "[2]", 4, 12) + "}",
                         12)),
            "a.safetensors: tensors 'a' and 'b' overlap at byte 4 of the data");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[1]", 0, 4) + "," +
                             entry("b", "[1]", 8, 12) + "}",
                         12)),
            "a.safetensors: bytes 4 to 8 of the data, before tensor 'b', belong "
            "to no tensor");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[1]", 0, 4) + "}", 12)),
            "a.safetensors: 12 bytes of data; wanted 4, the end of the last "
            "tensor");
  EXPECT_EQ(errorOf(pack("{" + entry("a", "[1]", 0, 4) + "," +
                             entry("a", "[1]", 4, 8) + "}",
                         8)),
            "a.safetensors: tensor 'a' is there twice");
  EXPECT_EQ(errorOf(pack("{" +
                             entry("a", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                                   0, 4) +
                             "}",
                         4)),
            "a.safetensors: tensor 'a': more than 16 dimensions");
}

// Names come from strangers: no escape sequence reaches a terminal.
TEST_F(Safetensors, MessagesArePlain) {
  std::string message = errorOf(
      pack(R"({"\u001b[31m\n":{"dtype":"X","shape":[],"data_offsets":[0,0]}})"));
  EXPECT_EQ(message, "a.safetensors: tensor '?[31m?': unknown dtype 'X'");
  message = errorOf(pack("{\"" + std::string(5000, 'n') + "\":{}}"));
  EXPECT_LT(message.size(), 1024u);
}

TEST_F(Safetensors, NearNames) {
  std::string header = "{";
  for (const char *name :
       {"backbone.layers.0.mixer.A_log", "backbone.layers.0.mixer.D",
        "backbone.layers.0.norm.weight", "backbone.embeddings.weight"})
    header += std::string(header.size() > 1 ? "," : "") + "\"" + name +
              R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  write("a.safetensors", pack(header + "}"));
  ASSERT_EQ(open("a.safetensors"), SSMRT_OK);
  ssmrt_tensor tensor;
  auto miss = [&](const char *name) {
    EXPECT_EQ(ssmrt_weights_find(weights, name, &tensor), SSMRT_NOT_FOUND);
    return shorten(ssmrt_last_error());
  };
  EXPECT_EQ(miss("backbone.embedding.weight"),
            "a.safetensors: no tensor 'backbone.embedding.weight' among 4; "
            "nearest: 'backbone.embeddings.weight'");
  EXPECT_EQ(miss("layers.0.mixer.A_log"),
            "a.safetensors: no tensor 'layers.0.mixer.A_log' among 4; nearest: "
            "'backbone.layers.0.mixer.A_log'");
  EXPECT_EQ(miss("zzz"), "a.safetensors: no tensor 'zzz' among 4");
  miss(std::string(100000, 'x').c_str());
}

TEST_F(Safetensors, NotAFile) {
  EXPECT_EQ(open("missing"), SSMRT_BAD_FILE);
  EXPECT_EQ(shorten(ssmrt_last_error()),
            "missing: cannot open: No such file or directory");
  std::filesystem::create_directory(folder / "d");
  EXPECT_EQ(open("d"), SSMRT_BAD_FILE);
  EXPECT_EQ(shorten(ssmrt_last_error()),
            "d/model.safetensors: cannot open: No such file or directory");
  write("d/model.safetensors", pack("{}"));
  EXPECT_EQ(open("d"), SSMRT_OK);
  EXPECT_EQ(ssmrt_weights_open(nullptr, &weights), SSMRT_BAD_ARGUMENT);
}

class Sharded : public Safetensors {
protected:
  void SetUp() override {
    Safetensors::SetUp();
    shard("one.safetensors", "a");
    shard("two.safetensors", "b");
  }
  void shard(const std::string &file, const std::string &tensor) {
    write(file, pack("{\"" + tensor +
                         R"(":{"dtype":"U8","shape":[1],)"
                         R"("data_offsets":[0,1]}})",
                     tensor));
  }
  std::string indexError(const std::string &content) {
    return errorOf(content, "model.safetensors.index.json");
  }
};

TEST_F(Sharded, Reads) {
  write("model.safetensors.index.json",
        R"({"metadata":{"total_size":2},"weight_map":)"
        R"({"b":"two.safetensors","a":"one.safetensors"}})");
  ASSERT_EQ(open("model.safetensors.index.json"), SSMRT_OK)
      << ssmrt_last_error();
  ASSERT_EQ(ssmrt_weights_count(weights), 2);
  ssmrt_tensor tensor;
  ASSERT_EQ(ssmrt_weights_find(weights, "b", &tensor), SSMRT_OK);
  EXPECT_EQ(*static_cast<char *>(tensor.data), 'b');
  ASSERT_EQ(ssmrt_weights_find(weights, "a", &tensor), SSMRT_OK);
  EXPECT_EQ(*static_cast<char *>(tensor.data), 'a');
  EXPECT_EQ(open(""), SSMRT_OK) << "a directory with an index";
}

TEST_F(Sharded, Errors) {
  EXPECT_EQ(indexError(R"({"weight_map":{"a":"three.safetensors"}})"),
            "three.safetensors: cannot open: No such file or directory; "
            "model.safetensors.index.json names it for tensor 'a'");
  EXPECT_EQ(indexError(R"({"weight_map":{"a":"two.safetensors"}})"),
            "model.safetensors.index.json: tensor 'a' should be in "
            "'two.safetensors', which does not have it");
  EXPECT_EQ(indexError(R"({"weight_map":{"a":"../one.safetensors"}})"),
            "model.safetensors.index.json: tensor 'a' is in "
            "'../one.safetensors'; wanted the name of a file beside the index");
  for (const char *file : {"", ".", "..", "/etc/passwd", "d/one.safetensors",
                           "d\\\\one.safetensors"})
    indexError(std::string(R"({"weight_map":{"a":")") + file + R"("}})");
  EXPECT_EQ(indexError(R"({"weight_map":{"a":"one.safetensors",)"
                       R"("a":"one.safetensors"}})"),
            "model.safetensors.index.json: tensor 'a' is there twice");
  EXPECT_EQ(indexError("{}"),
            "model.safetensors.index.json: no weight_map; wanted an index of "
            "safetensors files");
  for (const char *content :
       {"", "[]", "{", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a"}})", R"({"weight_map":{},"weight_map":{}})",
        R"({"weight_map":{}} x)", R"({"metadata":,"weight_map":{}})"})
    indexError(content);
}

TEST_F(Safetensors, Bind) {
  ssmrt_module module = makeModule();
  const char *f3 = R"(:{"dtype":"F32","shape":[3],"data_offsets":)";
  const char *f13 = R"(:{"dtype":"F32","shape":[1,3,1],"data_offsets":)";
  write("a.safetensors", pack(std::string("{\"p.decay\"") + f13 +
                                  "[0,12]},\"p.scale\"" + f3 + "[12,24]}}",
                              24));
  ASSERT_EQ(open("a.safetensors"), SSMRT_OK) << ssmrt_last_error();
  ssmrt_tensor tensors[3];
  ASSERT_EQ(ssmrt_weights_bind(weights, &module, "p.", tensors), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(tensors[0].ndim, 3);
  EXPECT_NE(tensors[1].data, nullptr);
  EXPECT_EQ(tensors[2].data, nullptr) << "optional and not there";
  EXPECT_EQ(ssmrt_weights_bind(weights, &module, nullptr, tensors),
            SSMRT_NOT_FOUND);
  EXPECT_EQ(shorten(ssmrt_last_error()),
            "a.safetensors: no tensor 'decay' among 2; nearest: 'p.decay'");
  const int64_t four[] = {4};
  ssmrt_value_info infos[] = {module.weights[0], module.weights[1],
                              module.weights[2]};
  infos[1].shape = four;
  module.weights = infos;
  EXPECT_EQ(ssmrt_weights_bind(weights, &module, "p.", tensors),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(shorten(ssmrt_last_error()),
            "a.safetensors: weight 'p.scale' has shape [3]; wanted [4]");
}

} // namespace

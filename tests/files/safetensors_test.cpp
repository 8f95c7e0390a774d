#include "files/safetensors.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/map_weights.h"
#include "files/support.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using testing::ElementsAre;
using testing::HasSubstr;

/// A file with this header (its length put before it) and this many bytes of data: 0, 1, 2, ...
std::string file_of(const std::string& header, std::size_t data_bytes) {
    const std::uint64_t length = header.size();
    std::string result(8, '\0');
    std::memcpy(result.data(), &length, 8);
    result += header;
    for (std::size_t i = 0; i < data_bytes; ++i) result += static_cast<char>(i);
    return result;
}

SafetensorsFile open(const std::string& content) {
    const auto owner = std::make_shared<std::string>(content);
    return {std::as_bytes(std::span(*owner)), owner, "x.safetensors"};
}

std::string error_for(const std::string& header, std::size_t data_bytes) {
    return error_of([&] { open(file_of(header, data_bytes)); });
}

TEST(Safetensors, MapsWithoutCopyingAndOutlivesTheFileObject) {
    const TempFolder folder;
    const auto values = std::vector<float>{1, 2, 3, 4, 5, 6};
    write_safetensors(folder / "a.safetensors",
                      {{"b.weight", Tensor::from({2, 3}, values)}, {"a", Tensor(DType::u8, {3})}},
                      {{"format", "pt"}});
    std::optional<Tensor> tensor;
    {
        const SafetensorsFile file(folder / "a.safetensors");
        EXPECT_THAT(file.names(), ElementsAre("a", "b.weight"));
        EXPECT_THAT(file.metadata(), ElementsAre(testing::Pair("format", "pt")));
        EXPECT_FALSE(file.find("none"));
        tensor = file.find("b.weight");
        ASSERT_TRUE(tensor);
        EXPECT_EQ(tensor->data(), file.find("b.weight")->data());
        file.release_pages();
    }
    EXPECT_EQ(tensor->shape(), (Shape{2, 3}));
    EXPECT_THAT(tensor->span<float>(), testing::ElementsAreArray(values));
}

TEST(Safetensors, WritesEveryTypeAligned) {
    const TempFolder folder;
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const auto type : {DType::boolean, DType::u8, DType::i8, DType::i16, DType::f16, DType::bf16,
                            DType::i32, DType::f32, DType::i64, DType::f64}) {
        Tensor tensor(type, {3, 1});
        std::memset(tensor.data(), 1 + static_cast<int>(type), tensor.bytes());
        tensors.emplace_back(std::string(name_of(type)), tensor);
    }
    tensors.emplace_back("scalar", Tensor::from({}, std::vector<float>{7}));
    tensors.emplace_back("empty", Tensor(DType::f32, {0, 4}));
    tensors.emplace_back("names \"may\"\nbe é", Tensor(DType::u8, {1}));
    write_safetensors(folder / "all.safetensors", tensors);
    const SafetensorsFile file(folder / "all.safetensors");
    EXPECT_EQ(file.names().size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
        const auto found = file.find(name);
        ASSERT_TRUE(found) << name;
        EXPECT_EQ(found->type(), tensor.type());
        EXPECT_EQ(found->shape(), tensor.shape());
        EXPECT_EQ(std::memcmp(found->data(), tensor.data(), tensor.bytes()), 0) << name;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->data()) % size_of(tensor.type()), 0U);
    }
    EXPECT_EQ(folder.file_count(), 1);
    EXPECT_THAT(error_of(
                    [&] {
                        write_safetensors(folder / "b",
                                          {{"a", Tensor(DType::u8, {1})}, {"a", Tensor(DType::u8, {1})}});
                    },
                    ErrorKind::failure),
                HasSubstr("\"a\" is taken"));
}

TEST(Safetensors, LaysMostTensorsOutAtSixtyFourBytes) {
    const auto layout = lay_out_safetensors({{"odd", DType::u8, {3}, 0},
                                             {"bias", DType::f16, {320}, 0},
                                             {"scalar", DType::f32, {}, 0},
                                             {"weight", DType::f16, {320, 320}, 0}},
                                            {});
    EXPECT_EQ(layout.header.size() % 64, 0U);
    EXPECT_THAT(layout.items, ElementsAre(testing::Field(&SafetensorsLayout::Item::name, "bias"),
                                          testing::Field(&SafetensorsLayout::Item::name, "weight"),
                                          testing::Field(&SafetensorsLayout::Item::name, "scalar"),
                                          testing::Field(&SafetensorsLayout::Item::name, "odd")));
    EXPECT_EQ(layout.items[1].offset % 64, 0U);
    EXPECT_EQ(layout.file_bytes, layout.header.size() + 640 + 204800 + 4 + 3);
}

TEST(Safetensors, ReadsWhatTheReferenceLibraryWrites) {
    const SafetensorsFile file(fs::path(REPRISE_FIXTURES) / "io/types.safetensors");
    EXPECT_EQ(file.metadata().at("format"), "pt");
    for (const auto* name : {"f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool"}) {
        const auto tensor = file.find(name);
        ASSERT_TRUE(tensor) << name;
        EXPECT_EQ(name_of(tensor->type()), name);
        EXPECT_EQ(tensor->shape(), (Shape{2, 3})) << name;
    }
    EXPECT_THAT(file.find("f64")->to(DType::f32).span<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(file.find("bf16")->to(DType::f32).span<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(file.find("i64")->span<std::int64_t>(), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_EQ(file.find("scalar")->shape(), Shape{});
    EXPECT_EQ(file.find("empty")->shape(), (Shape{0, 4}));
    EXPECT_THAT(error_of([&] { file.find("f8"); }),
                HasSubstr("\"f8\" is of type F8_E4M3, which Reprise cannot read"));
}

TEST(Safetensors, CopiesWhatIsNotAligned) {
    const auto file = open(file_of(
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
        5));
    const std::uint32_t expected = 0x04030201;
    float value = 0;
    std::memcpy(&value, &expected, 4);
    EXPECT_EQ(file.find("b")->span<float>()[0], value);
}

TEST(Safetensors, ListsTypesItCannotLoad) {
    const auto file = open(file_of(
        R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"b":{"dtype":"NEW","shape":[9],"data_offsets":[2,3]}})",
        3));
    EXPECT_THAT(file.names(), ElementsAre("a", "b"));
    EXPECT_THAT(error_of([&] { file.find("a"); }), HasSubstr("type F4"));
    EXPECT_THAT(error_of([&] { file.find("b"); }), HasSubstr("type NEW"));
}

TEST(Safetensors, RefusesTruncatedAndLyingLengths) {
    EXPECT_THAT(error_of([] { open(""); }), HasSubstr("x.safetensors: 0 bytes, too short"));
    EXPECT_THAT(error_of([] { open("1234567"); }), HasSubstr("7 bytes, too short"));
    std::string content = file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4);
    EXPECT_NO_THROW(open(content));
    for (std::size_t size = 0; size < content.size(); ++size)
        error_of([&] { open(content.substr(0, size)); });
    EXPECT_THAT(error_of([&] { open(content + "x"); }),
                HasSubstr("5 bytes of data, but the header's tensors end at 4"));
    const auto with_length = [&](std::uint64_t length) {
        std::memcpy(content.data(), &length, 8);
        return error_of([&] { open(content); });
    };
    EXPECT_THAT(with_length(content.size() - 7), HasSubstr("it is truncated"));
    EXPECT_THAT(with_length(std::numeric_limits<std::uint64_t>::max()),
                HasSubstr("expected at most 100000000"));
    EXPECT_THAT(with_length(100'000'001), HasSubstr("expected at most 100000000"));
    EXPECT_THAT(with_length(0), HasSubstr("does not begin with {"));
}

TEST(Safetensors, SaysWhatAnotherFileLooksLike) {
    using namespace std::string_literals;
    const std::pair<std::string, std::string> files[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"},
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"s, "a PNG picture"},
        {"\xff\xd8\xff\xe0\0\x10JFIF\0"s, "a JPEG picture"},
        {"RIFF\x10\0\0\0WEBPVP8 "s, "WebP"},
        {"PK\x03\x04\x14\0\0\0\x08\0"s, "a zip archive"},
        {"\x80\x02}q\0X\x05\0\0\0tensor"s, "pickle"},
        {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "pickle"},
        {"<!DOCTYPE html>\n<html>", "a web page"},
        {"\xef\xbb\xbf\n <html lang=\"en\">", "a web page"},
        {"{\"weights\": 1}\n", "JSON text"},
        {"Entry not found\n", "plain text"},
        {"\x93NUMPY\x01\0v\0{'descr'"s, "NumPy"},
        {"GGUF\x03\0\0\0\x10\0\0\0"s, "GGUF"},
        {"\x1f\x8b\x08\0\x12\x34\x56\x78\0\x03"s, "gzip"},
    };
    for (const auto& [content, look] : files) {
        const std::string message = error_of([&, &text = content] { open(text); });
        EXPECT_THAT(message, HasSubstr("x.safetensors: not a safetensors file but ")) << look;
        EXPECT_THAT(message, HasSubstr(look));
    }
}

TEST(Safetensors, RefusesOffsetsThatLie) {
    const auto one = [](const std::string& rest) { return "{\"a\":{" + rest + "}}"; };
    EXPECT_THAT(error_for(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4),
                HasSubstr("tensor \"a\" lies at bytes 0 to 8 of the data, expected within 0 to 4"));
    EXPECT_THAT(error_for(one(R"("dtype":"U8","shape":[2],"data_offsets":[4,2])"), 4),
                HasSubstr("bytes 4 to 2"));
    EXPECT_THAT(
        error_for(
            one(R"("dtype":"U8","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615])"), 4),
        HasSubstr("18446744073709551615"));
    EXPECT_THAT(error_for(one(R"("dtype":"F16","shape":[2,2],"data_offsets":[0,16])"), 16),
                HasSubstr("has 16 bytes, expected 8 for (2, 2) of F16"));
    EXPECT_THAT(error_for(one(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), 2),
                HasSubstr("impossible shape"));
    for (const auto* shape : {"[4294967296,4294967296]", "[9223372036854775807,9223372036854775807,0]",
                              "[4611686018427387904,4]"})
        EXPECT_THAT(error_for(one(R"("dtype":"F32","data_offsets":[0,0],"shape":)" + std::string(shape)), 0),
                    HasSubstr("impossible shape"));
    const std::string two =
        R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":)";
    EXPECT_THAT(error_for(two + "[2,6]}}", 6), HasSubstr("\"b\" begins at byte 2 of the data, expected 4"));
    EXPECT_THAT(error_for(two + "[5,9]}}", 9), HasSubstr("\"b\" begins at byte 5 of the data, expected 4"));
    EXPECT_THAT(error_for(two + "[0,4]}}", 4), HasSubstr("may not overlap"));
    EXPECT_NO_THROW(open(file_of(two + "[4,8]}}", 8)));
}

TEST(Safetensors, RefusesBrokenHeaders) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {R"([])", "does not begin with {"},
        {R"({"a")", "broken JSON at line 1, byte"},
        {R"({} {})", "broken JSON"},
        {std::string("{}\0\0", 4), "zero byte"},
        {"{\"\xff\":{}}", "broken JSON"},
        {R"({"a":1})", "\"a\" has 1 where it may not"},
        {R"({"a":[]})", "has a list where it may not"},
        {R"({"a":null})", "has null"},
        {R"({"a":{}})", "\"a\" lacks one of dtype"},
        {R"({"a":{"dtype":"U8","shape":[0]}})", "lacks one of"},
        {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}})", "does not have two data_offsets"},
        {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}})",
         "has 0 where it may not, in data_offsets"},
        {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", "has -1 where it may not, in shape"},
        {R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,0]}})", "has 1.5 where it may not, in shape"},
        {R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,0]}})", "in shape"},
        {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", "as dimension 0"},
        {R"({"a":{"dtype":"U8","shape":0,"data_offsets":[0,0]}})", "has 0 where it may not, in shape"},
        {R"({"a":{"dtype":7,"shape":[],"data_offsets":[0,0]}})", "in dtype"},
        {R"({"a":{"dtype":"U8","shape":[[]],"data_offsets":[0,0]}})",
         "has a list where it may not, in shape"},
        {R"({"a":{"dtype":"U8","shape":["0"],"data_offsets":[0,0]}})",
         "has \"0\" where it may not, in shape"},
        {R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", "has \"dtype\" twice"},
        {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})", "has \"x\"; expected"},
        {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
         "\"a\" is listed twice"},
        {R"({"__metadata__":{"k":1}})", "\"__metadata__\" has 1"},
        {R"({"__metadata__":{"k":{}}})", "has an object"},
        {R"({"__metadata__":"x"})", "has \"x\""},
        {R"({"__metadata__":{"k":"a","k":"b"}})", "has \"k\" twice"},
        {R"({"__metadata__":{},"__metadata__":{}})", "\"__metadata__\" is listed twice"},
        {R"({"line\nbreak":0})", "\"line?break\""},
    };
    for (const auto& [header, expected] : cases)
        EXPECT_THAT(error_for(header, 0), HasSubstr(expected)) << header;
    std::string deep = "{\"a\":";
    deep.append(1'000'000, '[');
    EXPECT_THAT(error_for(deep, 0), HasSubstr("has a list"));
    std::string ranks = "1";
    for (int i = 0; i < 100; ++i) ranks += ",1";
    EXPECT_THAT(error_for(R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":[)" + ranks + "]}}", 1),
                HasSubstr("as dimension 32"));
    EXPECT_NO_THROW(open(file_of("{}   ", 0)));
    EXPECT_NO_THROW(open(file_of(R"({"__metadata__":{"k":"v"}})", 0)));
}

TEST(Safetensors, FilesThatCannotBeRead) {
    const TempFolder folder;
    EXPECT_THAT(error_of([&] { SafetensorsFile{folder / "none.safetensors"}; }),
                HasSubstr("none.safetensors: cannot be opened: No such file or directory"));
    EXPECT_THAT(error_of([&] { SafetensorsFile{folder.path()}; }), HasSubstr("not a file"));
    EXPECT_THAT(error_of([&] { SafetensorsFile{folder.put("empty", "")}; }), HasSubstr("too short"));
}

TEST(Safetensors, FullDiskLeavesNothingBehind) {
    const std::vector<std::pair<std::string, Tensor>> tensors{{"a", Tensor(DType::f32, {1 << 16})}};
    EXPECT_THAT(error_of([&] { write_safetensors("/dev/full", tensors); }, ErrorKind::failure),
                HasSubstr("cannot write /dev/full: No space left on device"));
    // A limit on file size stands in for a disk that fills up while the data are written.
    const TempFolder folder;
    struct rlimit before {};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small { 100'000, before.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &small);
    const std::string message =
        error_of([&] { write_safetensors(folder / "a.safetensors", tensors); }, ErrorKind::failure);
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_THAT(message, HasSubstr("a.safetensors: File too large"));
    EXPECT_EQ(folder.file_count(), 0);
    EXPECT_THAT(error_of([&] { write_safetensors(folder / "none/a.safetensors", tensors); }),
                HasSubstr("does not exist"));
}

TEST(MapWeights, FindsWhatItWasGiven) {
    const MapWeights weights({{"b", Tensor(DType::f32, {2})}, {"a", Tensor(DType::f16, {3})}});
    EXPECT_THAT(weights.names(), ElementsAre("a", "b"));
    EXPECT_EQ(weights.find("a")->shape(), Shape{3});
    EXPECT_FALSE(weights.find("c"));
}

}  // namespace
}  // namespace reprise

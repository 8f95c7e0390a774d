#include "files/weight_cache.h"

#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "core/captured_log.h"
#include "files/support.h"
#include "files/weight_conversion.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::CapturedLog;
using test::error_of;
using test::TempFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// The values -1, -0.75, ... in a tensor that takes several pieces of the conversion.
Tensor ramp(const Shape& shape) {
    Tensor tensor(DType::f32, shape);
    float value = -1;
    for (auto& x : tensor.span<float>()) x = value = value > 50 ? -50.0F : value + 0.25F;
    return tensor;
}

std::vector<std::pair<std::string, Tensor>> tensors_of(DType type) {
    return {{"large", ramp({1025, 1027}).to(type)},
            {"bias", ramp({7}).to(type)},
            {"scalar", ramp({}).to(type)},
            {"empty", Tensor(type, {0, 3})},
            {"ids", Tensor::from({2}, std::vector<std::int64_t>{5, 6})}};
}

std::shared_ptr<const Checkpoint> put_checkpoint(const fs::path& folder, DType type) {
    fs::create_directories(folder);
    write_safetensors(folder / "model.safetensors", tensors_of(type));
    return std::make_shared<Checkpoint>(folder);
}

void expect_equal(const WeightSource& weights, DType precision) {
    EXPECT_THAT(weights.names(), ElementsAre("bias", "empty", "ids", "large", "scalar"));
    for (const auto& [name, tensor] : tensors_of(precision)) {
        const auto found = weights.find(name);
        ASSERT_TRUE(found) << name;
        EXPECT_EQ(found->type(), tensor.type()) << name;
        EXPECT_EQ(found->shape(), tensor.shape()) << name;
        EXPECT_EQ(std::memcmp(found->data(), tensor.data(), tensor.bytes()), 0) << name;
    }
    EXPECT_FALSE(weights.find("none"));
}

TEST(WeightConversion, EveryPairOfTypesAtAnyAddress) {
    const Tensor values = ramp({10'001});
    for (const auto from : {DType::f32, DType::f16, DType::bf16, DType::f64}) {
        Tensor source = from == DType::f64 ? Tensor(from, values.shape()) : values.to(from);
        if (from == DType::f64)
            for (std::size_t i = 0; i < 10'001; ++i)
                source.span<double>()[i] = double{values.span<float>()[i]};
        std::vector<std::byte> shifted(source.bytes() + 1);
        std::memcpy(shifted.data() + 1, source.data(), source.bytes());
        for (const auto to : {DType::f32, DType::f16, DType::bf16}) {
            const Tensor expected = values.to(from == DType::f64 ? DType::f32 : from).to(to);
            const auto* whole = static_cast<const std::byte*>(source.data());
            for (const std::byte* start : {whole, std::as_const(shifted).data() + 1}) {
                Tensor target(to, values.shape());
                convert_elements({from, start, to, static_cast<std::byte*>(target.data()), 10'001});
                EXPECT_EQ(std::memcmp(target.data(), expected.data(), expected.bytes()), 0);
            }
        }
    }
    error_of([&] { convert_elements({DType::i32, nullptr, DType::f32, nullptr, 0}); }, ErrorKind::failure);
}

TEST(WeightCache, GivesTheCheckpointItselfWhenNothingIsToBeConverted) {
    const TempFolder folder;
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f16);
    EXPECT_EQ(WeightCache(folder / "cache").open(checkpoint, DType::f16), checkpoint);
    EXPECT_FALSE(fs::exists(folder / "cache"));
}

TEST(WeightCache, ConvertsOnceThenMaps) {
    const CapturedLog log;
    const TempFolder folder;
    const WeightCache cache(folder / "a/cache");
    for (const auto from : {DType::f32, DType::f16, DType::bf16}) {
        for (const auto to : {DType::f32, DType::f16, DType::bf16}) {
            if (from == to) continue;
            const auto checkpoint = put_checkpoint(folder / std::string(name_of(from)), from);
            const auto weights = cache.open(checkpoint, to);
            for (const auto& [name, tensor] : tensors_of(from)) {
                const auto found = weights->find(name).value();
                const auto converted = tensor.type() == from ? tensor.to(to) : tensor;
                EXPECT_EQ(found.type(), converted.type());
                EXPECT_EQ(std::memcmp(found.data(), converted.data(), converted.bytes()), 0) << name;
            }
        }
    }
    EXPECT_EQ(cache.list().size(), 6U);
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f32);
    expect_equal(*cache.open(checkpoint, DType::bf16), DType::bf16);
    const auto once = log.text().size();
    const auto again = cache.open(checkpoint, DType::bf16);
    expect_equal(*again, DType::bf16);
    again->release_pages();
    EXPECT_EQ(again->description(), (folder / "unet").string());
    EXPECT_EQ(log.text().size(), once) << log.text();
    const auto tensor = again->find("large").value();
    EXPECT_EQ(tensor.data(), again->find("large")->data());
}

TEST(WeightCache, ReplacesWhatIsOutdatedOrDamaged) {
    const CapturedLog log;
    const TempFolder folder;
    const WeightCache cache(folder / "cache");
    cache.open(put_checkpoint(folder / "unet", DType::f32), DType::bf16);
    ASSERT_EQ(cache.list().size(), 1U);
    const fs::path file = cache.list()[0].file;

    fs::last_write_time(folder / "unet/model.safetensors",
                        fs::file_time_type::clock::now() + std::chrono::hours(1));
    const auto changed = std::make_shared<Checkpoint>(folder / "unet");
    expect_equal(*cache.open(changed, DType::bf16), DType::bf16);
    EXPECT_EQ(cache.list().size(), 1U);

    fs::resize_file(file, fs::file_size(file) - 1);
    expect_equal(*cache.open(changed, DType::bf16), DType::bf16);
    EXPECT_THAT(log.text(), HasSubstr("converting weights anew: " + file.string()));
    const auto metadata = SafetensorsFile(file).metadata();
    write_safetensors(file, {{"large", Tensor(DType::bf16, {2})}}, metadata);
    expect_equal(*cache.open(changed, DType::bf16), DType::bf16);
}

/// Other values, of the same names and shapes.
std::vector<std::pair<std::string, Tensor>> other_tensors() {
    auto tensors = tensors_of(DType::f32);
    for (auto& [name, tensor] : tensors)
        if (tensor.type() == DType::f32)
            for (float& value : tensor.span<float>()) value = 1 - value;
    return tensors;
}

TEST(WeightCache, AReplacedFileIsConvertedAgainThoughItHasTheOldSizeAndTime) {
    const CapturedLog log;
    const TempFolder folder;
    const WeightCache cache(folder / "cache");
    const auto large = [&](const fs::path& model) {
        return cache.open(std::make_shared<Checkpoint>(model), DType::bf16)->find("large").value().clone();
    };
    const auto same = [](const Tensor& a, const Tensor& b) {
        return std::memcmp(a.data(), b.data(), a.bytes()) == 0;
    };
    const Tensor first = ramp({1025, 1027}).to(DType::bf16),
                 second = other_tensors()[0].second.to(DType::bf16);
    write_safetensors(folder / "other.safetensors", other_tensors());
    const auto with_old_time = [&](const fs::path& path, const auto& replace) {
        put_checkpoint(folder / "unet", DType::f32);
        EXPECT_TRUE(same(large(folder / "unet"), first));
        const auto time = fs::last_write_time(path);
        replace();
        fs::last_write_time(path, time);
        EXPECT_TRUE(same(large(folder / "unet"), second));
    };
    const fs::path file = folder / "unet/model.safetensors";
    with_old_time(file, [&] {  // as mv
        fs::copy(folder / "other.safetensors", folder / "new.safetensors");
        fs::rename(folder / "new.safetensors", file);
    });
    with_old_time(file, [&] {  // as cp, into the same inode
        const std::string content = test::read(folder / "other.safetensors");
        std::fstream(file, std::ios::binary | std::ios::in | std::ios::out)
            .write(content.data(), static_cast<std::streamsize>(content.size()));
    });

    // a symlink to another file, as in the hub's cache
    const auto time = fs::last_write_time(file);
    write_safetensors(file, tensors_of(DType::f32));
    for (const auto& blob : {file, folder / "other.safetensors"}) fs::last_write_time(blob, time);
    fs::create_directories(folder / "linked");
    for (int round = 0; round < 2; ++round)
        for (const auto& [blob, expected] :
             {std::pair(file, first), std::pair(fs::path(folder / "other.safetensors"), second)}) {
            fs::remove(folder / "linked/model.safetensors");
            fs::create_symlink(blob, folder / "linked/model.safetensors");
            EXPECT_TRUE(same(large(folder / "linked"), expected)) << blob;
        }
}

TEST(WeightCache, AnUnchangedFileIsConvertedOnce) {
    const CapturedLog log;
    const TempFolder folder;
    const WeightCache cache(folder / "cache");
    cache.open(put_checkpoint(folder / "unet", DType::f32), DType::bf16);
    const auto once = log.text();
    test::read(folder / "unet/model.safetensors");
    for (int i = 0; i < 2; ++i) cache.open(std::make_shared<Checkpoint>(folder / "unet"), DType::bf16);
    EXPECT_EQ(log.text(), once);
}

TEST(WeightCache, ListsAndClears) {
    const CapturedLog log;
    const TempFolder folder;
    const WeightCache cache(folder / "cache");
    EXPECT_TRUE(cache.list().empty());
    EXPECT_EQ(cache.clear().files, 0U);
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f32);
    const auto weights = cache.open(checkpoint, DType::bf16);
    cache.open(put_checkpoint(folder / "vae", DType::f16), DType::f32);
    folder.put("cache/broken.safetensors", "x");
    folder.put("cache/.left.1234.tmp", "half");
    folder.put("cache/notes.txt", "not the cache's");
    const auto old = std::chrono::file_clock::now() - std::chrono::hours(24);
    fs::last_write_time(folder / "cache/broken.safetensors", old - std::chrono::hours(24));
    for (const auto& entry : cache.list())
        if (entry.source.ends_with("unet")) fs::last_write_time(entry.file, old);
    auto entries = cache.list();
    ASSERT_EQ(entries.size(), 3U);
    EXPECT_EQ(entries[0].source, fs::canonical(folder / "vae").string());
    EXPECT_EQ(entries[0].precision, "f32");
    EXPECT_GT(entries[0].bytes, 4'000'000U);
    EXPECT_EQ(entries[1].source, fs::canonical(folder / "unet").string());
    EXPECT_EQ(entries[2].source, "?");
    cache.open(checkpoint, DType::bf16);
    entries = cache.list();
    EXPECT_LT(std::chrono::system_clock::now() - entries[0].last_use, std::chrono::hours(1));
    EXPECT_LT(std::chrono::system_clock::now() - entries[1].last_use, std::chrono::hours(1));

    const auto cleared = cache.clear();
    EXPECT_EQ(cleared.files, 4U);
    EXPECT_GT(cleared.bytes, 6'000'000U);
    EXPECT_TRUE(cache.list().empty());
    EXPECT_TRUE(fs::exists(folder / "cache/notes.txt"));
    expect_equal(*weights, DType::bf16);  // what is mapped stays
}

TEST(WeightCache, DoesWithoutWhereItCannotBeWritten) {
    const TempFolder folder;
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f32);
    folder.put("file", "");
    for (const fs::path& place : {fs::path(), folder / "file/cache", fs::path("/proc/none")}) {
        const CapturedLog log;
        expect_equal(*WeightCache(place).open(checkpoint, DType::bf16), DType::bf16);
        EXPECT_THAT(log.text(), HasSubstr("no cache for the weights of " + (folder / "unet").string()))
            << place;
        EXPECT_THAT(log.text(), HasSubstr("converted to bf16 in memory"));
    }
    error_of([&] { WeightCache(folder / "cache").open(checkpoint, DType::i32); }, ErrorKind::failure);
}

TEST(WeightCache, DoesWithoutOnAFullDisk) {
    const TempFolder folder;
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f32);
    struct rlimit before {};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small { 100'000, before.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &small);
    const CapturedLog log;
    expect_equal(*WeightCache(folder / "cache").open(checkpoint, DType::bf16), DType::bf16);
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_THAT(log.text(), HasSubstr("File too large"));
    EXPECT_TRUE(WeightCache(folder / "cache").list().empty());
    for (const auto& entry : fs::directory_iterator(folder / "cache"))
        EXPECT_EQ(entry.path().filename(), ".lock");
}

TEST(WeightCache, ThreadsConvertOnce) {
    const CapturedLog log;
    const TempFolder folder;
    const auto checkpoint = put_checkpoint(folder / "unet", DType::f32);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                expect_equal(*WeightCache(folder / "cache").open(checkpoint, DType::f16), DType::f16);
            });
    }
    const std::string text = log.text();
    const std::string said = "converting the weights";
    ASSERT_THAT(text, HasSubstr(said));
    EXPECT_THAT(text.substr(text.find(said) + said.size()), Not(HasSubstr(said)));
    EXPECT_EQ(WeightCache(folder / "cache").list().size(), 1U);
}

TEST(WeightCache, KeepsTheTypesThatItCannotConvertAsErrorsOfTheirs) {
    const CapturedLog log;
    const TempFolder folder;
    const std::string header =
        R"({"f8":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[2,4]},"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})";
    const std::uint64_t length = header.size();
    std::string content(8, '\0');
    std::memcpy(content.data(), &length, 8);
    folder.put("unet/model.safetensors", content + header + "\x01\x3c  ");
    const auto weights =
        WeightCache(folder / "cache").open(std::make_shared<Checkpoint>(folder / "unet"), DType::f32);
    EXPECT_THAT(weights->names(), ElementsAre("f8", "w"));
    EXPECT_FLOAT_EQ(weights->find("w")->span<float>()[0], 1.0009766F);
    EXPECT_THAT(error_of([&] { weights->find("f8"); }), HasSubstr("type F8_E4M3"));
}

TEST(WeightCache, DefaultFolderFollowsTheEnvironment) {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const std::string cache_before = cache == nullptr ? "" : cache;
    ::setenv("XDG_CACHE_HOME", "/somewhere", 1);
    EXPECT_EQ(WeightCache::default_folder(), "/somewhere/reprise/weights");
    ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
    const char* home = std::getenv("HOME");
    const std::string home_before = home == nullptr ? "" : home;
    ::setenv("HOME", "/home/me", 1);
    EXPECT_EQ(WeightCache::default_folder(), "/home/me/.cache/reprise/weights");
    ::unsetenv("HOME");
    EXPECT_EQ(WeightCache::default_folder(), "");
    if (home != nullptr) ::setenv("HOME", home_before.c_str(), 1);
    ::setenv("XDG_CACHE_HOME", cache_before.c_str(), 1);
}

}  // namespace
}  // namespace reprise

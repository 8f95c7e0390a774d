#include "files/weight_cache.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "core/fingerprint.h"
#include "core/machine.h"
#include "files/atomic_file.h"
#include "files/file_lock.h"
#include "files/printable.h"
#include "files/safetensors.h"
#include "files/weight_conversion.h"
#include "reprise/error.h"

namespace reprise {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "1";  // raise it when the same checkpoint would be converted differently
constexpr const char* kFormatKey = "reprise.format";
constexpr const char* kIdentityKey = "reprise.identity";
constexpr const char* kPrecisionKey = "reprise.precision";
constexpr const char* kSourceKey = "reprise.source";

/// A checkpoint with its converted tensors from a cache file and the others from its own files.
class CachedWeights final : public WeightSource {
  public:
    CachedWeights(std::shared_ptr<const Checkpoint> checkpoint, SafetensorsFile converted)
        : checkpoint_(std::move(checkpoint)), converted_(std::move(converted)) {}

    std::optional<Weight> weight(std::string_view name) const override {
        auto tensor = converted_.find(name);
        return tensor ? std::optional<Weight>(std::move(*tensor)) : checkpoint_->weight(name);
    }
    std::optional<Shape> shape(std::string_view name) const override { return checkpoint_->shape(name); }
    std::vector<std::string> names() const override { return checkpoint_->names(); }
    using WeightSource::identity;
    std::string identity(std::string_view name) const override { return checkpoint_->identity(name); }
    void release_pages() const override {
        converted_.release_pages();
        checkpoint_->release_pages();
    }
    std::string description() const override { return checkpoint_->description(); }

  private:
    std::shared_ptr<const Checkpoint> checkpoint_;
    SafetensorsFile converted_;
};

/// The cache file of a checkpoint. Its name does not change when the checkpoint's files do, so that the
/// outdated conversion is replaced; whether it is outdated, its metadata tell.
std::string file_name(const Checkpoint& checkpoint, DType precision) {
    Fingerprint key;
    key.add(kFormat);
    for (const auto& file : checkpoint.files()) key.add("\n" + file.string());
    return fmt::format("{}-{}.safetensors", key.text(), name_of(precision));
}

Metadata metadata_of(const Checkpoint& checkpoint, DType precision) {
    std::error_code error;
    const fs::path real = fs::canonical(checkpoint.description(), error);
    return {{kFormatKey, kFormat},
            {kIdentityKey, checkpoint.files_identity()},
            {kPrecisionKey, std::string(name_of(precision))},
            {kSourceKey, error ? checkpoint.description() : real.string()}};
}

/// The file, when it is there and holds just what the checkpoint's tensors of these names would become.
std::optional<SafetensorsFile> open_if_current(const fs::path& path, const Checkpoint& checkpoint,
                                               DType precision, const std::vector<std::string>& names) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return std::nullopt;
    try {
        SafetensorsFile file(path);
        const auto metadata = metadata_of(checkpoint, precision);
        for (const auto* key : {kFormatKey, kIdentityKey, kPrecisionKey}) {
            const auto found = file.metadata().find(key);
            if (found == file.metadata().end() || found->second != metadata.at(key)) return std::nullopt;
        }
        if (file.entries().size() != names.size()) return std::nullopt;
        for (const auto& name : names) {
            const auto found = file.entries().find(name);
            if (found == file.entries().end() || found->second.shape != checkpoint.entry(name)->shape ||
                found->second.dtype != dtype_to_safetensors(precision))
                return std::nullopt;
        }
        ::utimensat(AT_FDCWD, path.c_str(), nullptr,
                    0);  // the time of last use; a read-only cache keeps none
        return file;
    } catch (const Error& error) {
        spdlog::warn("converting weights anew: {}", error.what());
        return std::nullopt;
    }
}

/// A stretch of one tensor.
struct Piece {
    Conversion conversion;  // without its target
    std::uint64_t offset = 0;
};

// Elements of a piece: it fits the second-level cache, which was 3 times faster than pieces of 8 times that.
constexpr std::size_t kPieceElements = std::size_t{1} << 17U;

std::vector<Piece> pieces_of(const Checkpoint& checkpoint, const SafetensorsLayout& layout) {
    std::vector<Piece> pieces;
    for (const auto& item : layout.items) {
        const DType from = dtype_from_safetensors(checkpoint.entry(item.name)->dtype).value();
        const std::byte* source = checkpoint.raw(item.name).data();
        const auto total = static_cast<std::size_t>(element_count(item.shape));
        for (std::size_t done = 0; done < total; done += kPieceElements)
            pieces.push_back({{.from = from,
                               .source = source + done * size_of(from),
                               .to = item.type,
                               .target = nullptr,
                               .count = std::min(kPieceElements, total - done)},
                              item.offset + done * size_of(item.type)});
    }
    return pieces;
}

/// Converts on all threads, each by way of a buffer of one piece. Lets go of the source's pages as it goes.
void convert_pieces(const Checkpoint& checkpoint, const std::vector<Piece>& pieces, AtomicFile& file) {
    constexpr std::size_t kReleaseEvery = 2048;  // pieces; half a gigabyte or one
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::exception_ptr error;
    const auto work = [&] {
        try {
            Tensor buffer(DType::f32, {static_cast<std::int64_t>(kPieceElements)});
            auto* target = static_cast<std::byte*>(buffer.data());
            for (std::size_t i = next++; i < pieces.size(); i = next++) {
                Conversion conversion = pieces[i].conversion;
                conversion.target = target;
                convert_elements(conversion);
                file.write_at(pieces[i].offset, {target, conversion.count * size_of(conversion.to)});
                if (i % kReleaseEvery == kReleaseEvery - 1) checkpoint.release_pages();
            }
        } catch (...) {
            next = pieces.size();
            const std::lock_guard lock(mutex);
            if (!error) error = std::current_exception();
        }
    };
    const std::size_t threads = std::min<std::size_t>(machine::processors(), 16);
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < std::min(threads, pieces.size()); ++i) others.emplace_back(work);
        work();
    }
    if (error) std::rethrow_exception(error);
    checkpoint.release_pages();
}

void convert_into(const fs::path& path, const Checkpoint& checkpoint, DType precision,
                  const std::vector<std::string>& names) {
    std::vector<SafetensorsLayout::Item> items;
    for (const auto& name : names) items.push_back({name, precision, checkpoint.entry(name)->shape, 0});
    const auto layout = lay_out_safetensors(std::move(items), metadata_of(checkpoint, precision));
    spdlog::info("converting the weights of {} to {} once, into {} ({} MB)", checkpoint.description(),
                 name_of(precision), path.string(), layout.file_bytes / 1'000'000);
    AtomicFile file(path);
    file.reserve(layout.file_bytes);
    file.write_at(0, std::as_bytes(std::span(layout.header)));
    convert_pieces(checkpoint, pieces_of(checkpoint, layout), file);
    file.commit();
}

/// The files in the folder that are the cache's: conversions and, when `unfinished`, what a killed process
/// left of one.
std::vector<fs::path> files_in(const fs::path& folder, bool unfinished) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        const bool hidden = name.starts_with('.');
        if ((!hidden && name.ends_with(".safetensors")) || (unfinished && hidden && name.ends_with(".tmp")))
            files.push_back(it->path());
    }
    return files;
}

fs::path lock_in(const fs::path& folder) {
    return folder / ".lock";
}

}  // namespace

fs::path WeightCache::default_folder() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    if (cache != nullptr && fs::path(cache).is_absolute()) return fs::path(cache) / "reprise/weights";
    const char* home = std::getenv("HOME");
    if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache/reprise/weights";
    return {};
}

std::shared_ptr<const WeightSource> WeightCache::open(std::shared_ptr<const Checkpoint> checkpoint,
                                                      DType precision) const {
    if (precision != DType::f32 && precision != DType::f16 && precision != DType::bf16)
        failure("weights cannot be converted to {}", name_of(precision));
    const auto names = names_to_convert(*checkpoint, precision);
    if (names.empty()) return checkpoint;
    try {
        if (folder_.empty()) failure("neither XDG_CACHE_HOME nor HOME is set");
        const fs::path path = folder_ / file_name(*checkpoint, precision);
        auto file = open_if_current(path, *checkpoint, precision, names);
        if (!file) {
            fs::create_directories(folder_);
            const FileLock lock(lock_in(folder_));
            file = open_if_current(path, *checkpoint, precision, names);  // another process may have made it
            if (!file) {
                for (const auto& left : files_in(folder_, true))
                    if (left.extension() == ".tmp") fs::remove(left);
                convert_into(path, *checkpoint, precision, names);
                file = SafetensorsFile(path);
            }
        }
        return std::make_shared<CachedWeights>(std::move(checkpoint), std::move(*file));
    } catch (const std::exception& error) {
        spdlog::warn(
            "no cache for the weights of {}: {}; they are converted to {} in memory instead, in this run "
            "and the next (set XDG_CACHE_HOME to a place with more room)",
            checkpoint->description(), printable(error.what(), 400), name_of(precision));
    }
    return std::make_shared<ConvertingWeights>(std::move(checkpoint), precision);
}

std::vector<WeightCache::Entry> WeightCache::list() const {
    std::vector<Entry> entries;
    for (const auto& path : files_in(folder_, false)) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) continue;
        Entry entry{path, "?", "?", static_cast<std::uint64_t>(status.st_size),
                    std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec)};
        try {
            const SafetensorsFile file(path);
            const auto value = [&](const char* key) {
                const auto found = file.metadata().find(key);
                return found == file.metadata().end() ? "?" : printable(found->second, 4096);
            };
            entry.source = value(kSourceKey);
            entry.precision = value(kPrecisionKey);
        } catch (const Error&) {  // listed as unreadable
        }
        entries.push_back(std::move(entry));
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.last_use > b.last_use; });
    return entries;
}

WeightCache::Cleared WeightCache::clear() const {
    Cleared cleared;
    if (files_in(folder_, true).empty()) return cleared;
    const FileLock lock(lock_in(folder_));
    for (const auto& path : files_in(folder_, true)) {
        std::error_code error;
        const std::uint64_t size = fs::file_size(path, error);
        const std::uint64_t bytes = error ? 0 : size;
        if (!fs::remove(path, error) && error)
            failure("cannot remove {}: {}", path.string(), error.message());
        ++cleared.files;
        cleared.bytes += bytes;
    }
    return cleared;
}

}  // namespace reprise

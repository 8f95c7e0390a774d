#include "files/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>

#include "core/fingerprint.h"
#include "files/json.h"
#include "files/printable.h"
#include "files/weight_cache.h"
#include "reprise/error.h"

namespace reprise {

namespace fs = std::filesystem;

namespace {

/// The names that a library gives to the weights of a variant, in its order of preference.
std::vector<std::string> file_names(Library library, const std::string& variant) {
    const bool diffusers = library == Library::diffusers;
    const std::string base = diffusers ? "diffusion_pytorch_model" : "model";
    const std::string infix = variant.empty() ? "" : "." + variant;
    const std::string file = base + infix + ".safetensors";
    std::vector<std::string> names = {base + ".safetensors.index" + infix + ".json"};
    if (!variant.empty())  // two older forms
        for (const char* form : {"{0}.safetensors.{1}.index.json", "{0}.{1}.safetensors.index.json"})
            names.push_back(fmt::format(fmt::runtime(form), base, variant));
    names.insert(diffusers ? names.end() : names.begin(), file);
    return names;
}

std::vector<std::string> all_file_names(const CheckpointOptions& options) {
    const bool diffusers = options.library == Library::diffusers;
    std::vector<std::string> variants{options.variant};
    if (options.variant.empty()) variants = {"", "fp16", "bf16"};
    std::vector<std::string> names;
    for (const Library library : {options.library, diffusers ? Library::transformers : Library::diffusers})
        for (const auto& variant : variants)
            for (auto& name : file_names(library, variant)) names.push_back(std::move(name));
    return names;
}

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

[[noreturn]] void refuse(const fs::path& folder, const CheckpointOptions& options) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) usage_error("{}: no such folder", folder.string());
    std::vector<std::string> weights;
    std::vector<std::string> pickles;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        const std::string extension = it->path().extension().string();
        constexpr std::array kPickled{".bin", ".ckpt", ".pt", ".pth"};
        if (extension == ".safetensors" || name.find(".safetensors.index.") != std::string::npos)
            weights.push_back(printable(name));
        else if (std::find(kPickled.begin(), kPickled.end(), extension) != kPickled.end())
            pickles.push_back(printable(name));
    }
    std::sort(weights.begin(), weights.end());
    std::sort(pickles.begin(), pickles.end());
    weights.resize(std::min<std::size_t>(weights.size(), 8));
    if (!weights.empty() && !options.variant.empty())
        usage_error("{}: no weights of variant \"{}\"; there are {}", folder.string(), options.variant,
                    fmt::join(weights, ", "));
    if (!weights.empty())
        usage_error("{}: none of the weight files is named as diffusers does ({}); there are {}",
                    folder.string(), fmt::join(file_names(options.library, ""), ", "),
                    fmt::join(weights, ", "));
    if (!pickles.empty())
        usage_error(
            "{}: only pickled weights ({}), which Reprise does not read; save the model as safetensors "
            "(save_pretrained with safe_serialization=True)",
            folder.string(), pickles.front());
    usage_error("{}: no weights; expected one of {}", folder.string(),
                fmt::join(file_names(options.library, options.variant), ", "));
}

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// A fingerprint of what the header says of all tensors and of a few bytes of some: for file systems that
/// keep no time of change. Little of the file is read.
std::string sample_of(const SafetensorsFile& file) {
    constexpr std::size_t kTensors = 64, kBytes = 64;
    Fingerprint fingerprint;
    std::vector<std::string_view> names;
    for (const auto& [name, entry] : file.entries()) {
        fingerprint.add(fmt::format("{}:{}:{}-{}\n", name, entry.dtype, entry.begin, entry.end));
        names.push_back(name);
    }
    const std::size_t count = std::min(kTensors, names.size());
    for (std::size_t i = 0; i < count; ++i) {
        const auto bytes = file.raw(names[i * names.size() / count]);
        const auto some = bytes.subspan(bytes.size() / 2, std::min(kBytes, bytes.size() - bytes.size() / 2));
        fingerprint.add(some.data(), some.size());
    }
    return fingerprint.text();
}

}  // namespace

bool has_variant(const fs::path& folder, std::string_view variant) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        // diffusers' own test: what follows the first dot, as in model.fp16-00001-of-00002.safetensors
        const std::string name = it->path().filename().string();
        const auto dot = name.find('.');
        if (dot != std::string::npos && std::string_view(name).substr(dot + 1).starts_with(variant))
            return true;
    }
    return false;
}

Checkpoint::Checkpoint(const fs::path& folder, const CheckpointOptions& asked) : folder_(folder) {
    CheckpointOptions options = asked;
    if (!options.variant.empty() && !has_variant(folder, options.variant)) options.variant.clear();
    for (const auto& name : all_file_names(options)) {
        if (!is_file(folder / name)) continue;
        if (name.ends_with(".json"))
            open_shards(folder / name);
        else
            open(folder / name);
        return;
    }
    refuse(folder, options);
}

void Checkpoint::open(const fs::path& path) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error) usage_error("{}: no such file", path.string());
    // Looked at before it is opened: if it is replaced in between, the next one to open it finds another
    // identity.
    struct stat status {};
    if (::stat(real.c_str(), &status) != 0) usage_error("{}: no such file", path.string());
    files_.emplace_back(path);
    // The inode has no part in it: some network file systems number their files anew with each mount.
    const std::string own =
        fmt::format("{}:{}:{}:{}:{}\n", real.string(), status.st_size, nanoseconds(status.st_mtim),
                    nanoseconds(status.st_ctim), sample_of(files_.back()));
    identity_ += own;
    Fingerprint fingerprint;
    fingerprint.add(own);
    identities_.push_back(fingerprint.text());
    paths_.push_back(real);
    for (const auto& [tensor, entry] : files_.back().entries())
        file_of_.insert_or_assign(tensor, files_.size() - 1);
}

void Checkpoint::open_shards(const fs::path& index) {
    const Json map = Config::load(index).require<Json>("weight_map");
    if (!map.is_object() || map.empty())
        usage_error("{}: \"weight_map\" is not an object that names the shard of each tensor",
                    index.string());
    std::set<std::string> shards;
    for (const auto& [tensor, value] : map.items()) {
        const auto shard = require<std::string>(map, tensor, index.string());
        const bool plain = shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
        if (!plain || !shard.ends_with(".safetensors"))
            usage_error("{}: shard \"{}\" is not the plain name of a .safetensors file", index.string(),
                        printable(shard));
        if (shards.insert(shard).second && !is_file(folder_ / shard))
            usage_error("{}: shard {} is missing; {} lists it", folder_.string(), printable(shard),
                        index.filename().string());
    }
    for (const std::string& shard : shards) open(folder_ / shard);
    for (const auto& [tensor, shard] : map.items())
        if (!file_of_.contains(tensor))
            usage_error("{}: tensor \"{}\" is not in {}, where the index has it", index.string(),
                        printable(tensor), printable(shard.get<std::string>()));
}

std::optional<Weight> Checkpoint::weight(std::string_view name) const {
    const auto found = file_of_.find(name);
    if (found == file_of_.end()) return std::nullopt;
    return files_[found->second].find(name);
}

std::string Checkpoint::identity(std::string_view name) const {
    const auto found = file_of_.find(name);
    return found == file_of_.end() ? "" : identities_[found->second];
}

std::shared_ptr<const WeightSource> Checkpoint::converted(DType precision) const {
    auto shared = weak_from_this().lock();
    return shared ? WeightCache().open(std::move(shared), precision) : nullptr;
}

std::vector<std::string> Checkpoint::names() const {
    std::vector<std::string> result;
    for (const auto& [name, file] : file_of_) result.push_back(name);
    return result;
}

void Checkpoint::release_pages() const {
    for (const auto& file : files_) file.release_pages();
}

const SafetensorsEntry* Checkpoint::entry(std::string_view name) const {
    const auto found = file_of_.find(name);
    if (found == file_of_.end()) return nullptr;
    return &files_[found->second].entries().find(name)->second;
}

std::span<const std::byte> Checkpoint::raw(std::string_view name) const {
    const auto found = file_of_.find(name);
    if (found == file_of_.end()) failure("{}: no tensor \"{}\"", description(), printable(name));
    return files_[found->second].raw(name);
}

std::uint64_t Checkpoint::total_bytes() const {
    std::uint64_t total = 0;
    for (const auto& [name, file] : file_of_) {
        const auto& found = files_[file].entries().find(name)->second;
        total += found.end - found.begin;
    }
    return total;
}

}  // namespace reprise

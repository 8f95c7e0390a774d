#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weight_source.h"
#include "files/safetensors.h"

namespace reprise {

/// Whose class a component is. diffusers' models are in `diffusion_pytorch_model` files, and where there are
/// shards behind an index and a single file, the shards count; transformers' are in `model` files, and the
/// single file counts.
enum class Library { diffusers, transformers };

struct CheckpointOptions {
    /// Which variant of the files to take, such as "fp16", where the folder has it, else the plain ones.
    /// Empty: the plain files where they are, else "fp16", else "bf16".
    std::string variant;
    Library library = Library::diffusers;
};

/// Whether a component's folder has weights of a variant.
bool has_variant(const std::filesystem::path& folder, std::string_view variant);

/// The weights of one component folder of a diffusers model, mapped: one .safetensors file or shards behind
/// a .safetensors.index.json, variants included, under the names of its library or, where there are none of
/// these, of the other one.
class Checkpoint final : public WeightSource, public std::enable_shared_from_this<Checkpoint> {
  public:
    /// Usage error naming the folder or file when there is none that can be read.
    explicit Checkpoint(const std::filesystem::path& folder, const CheckpointOptions& options = {});

    std::optional<Weight> weight(std::string_view name) const override;
    std::optional<Shape> shape(std::string_view name) const override {
        const auto* found = entry(name);
        return found == nullptr ? std::nullopt : std::optional(found->shape);
    }
    std::vector<std::string> names() const override;
    using WeightSource::identity;
    /// Its file's, as `files_identity` has it.
    std::string identity(std::string_view name) const override;
    /// By way of the cache (`WeightCache`); null for a checkpoint that nobody shares.
    std::shared_ptr<const WeightSource> converted(DType precision) const override;
    void release_pages() const override;
    /// The folder.
    std::string description() const override { return folder_.string(); }

    /// How the file describes a tensor, without touching its data; null when there is none of that name.
    const SafetensorsEntry* entry(std::string_view name) const;
    /// The bytes of a tensor that is there, at whatever address the file has them.
    std::span<const std::byte> raw(std::string_view name) const;
    /// Bytes of all tensors.
    std::uint64_t total_bytes() const;
    /// The files and what they were when opened: of each, in a line, its real path, its size, when its
    /// content and when anything about it was changed last, and a fingerprint of its header and a sample of
    /// its values. For keys of caches: whoever replaces a file, even with its old time, makes another
    /// identity.
    const std::string& files_identity() const { return identity_; }
    /// The real paths of the weight files.
    const std::vector<std::filesystem::path>& files() const { return paths_; }

  private:
    void open(const std::filesystem::path& path);
    /// As in diffusers and transformers, all tensors of the shards that the index names count; of equal ones
    /// that of the last shard, by name.
    void open_shards(const std::filesystem::path& index);

    std::filesystem::path folder_;
    std::vector<SafetensorsFile> files_;
    std::vector<std::filesystem::path> paths_;
    std::string identity_;
    std::vector<std::string> identities_;                      ///< of each file, short
    std::map<std::string, std::size_t, std::less<>> file_of_;  // tensor name to index in files_
};

}  // namespace reprise

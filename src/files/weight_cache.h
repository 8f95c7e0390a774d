#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/weight_source.h"
#include "files/checkpoint.h"
#include "reprise/dtype.h"

namespace reprise {

/// Checkpoints converted to the precision that they run in, kept as mapped files. Several processes may use
/// one folder at once.
class WeightCache {
  public:
    struct Entry {
        std::filesystem::path file;
        std::string source;     ///< the folder whose weights it holds; "?" for a file that cannot be read
        std::string precision;  ///< "bf16"
        std::uint64_t bytes = 0;
        std::chrono::system_clock::time_point last_use;
    };
    struct Cleared {
        std::size_t files = 0;
        std::uint64_t bytes = 0;
    };

    /// The folder is made when something is first put into it. Empty: nothing is kept.
    explicit WeightCache(std::filesystem::path folder = default_folder()) : folder_(std::move(folder)) {}

    /// $XDG_CACHE_HOME/reprise/weights, or ~/.cache/reprise/weights; empty when neither variable is set.
    static std::filesystem::path default_folder();
    const std::filesystem::path& folder() const { return folder_; }

    /// The checkpoint with its floating tensors in `precision` (f32, f16 or bf16): the checkpoint itself
    /// when they are already, else with those that are not taken from the cache, into which they are
    /// converted first when the cache lacks them or the checkpoint's files have changed. Where that cannot
    /// be done, as on a full disk, says so with a warning and gives a source that converts in memory.
    std::shared_ptr<const WeightSource> open(std::shared_ptr<const Checkpoint> checkpoint,
                                             DType precision) const;

    /// What the cache holds, the last used first.
    std::vector<Entry> list() const;
    /// Removes all of it. Failure naming the file that cannot be removed.
    Cleared clear() const;

  private:
    std::filesystem::path folder_;
};

}  // namespace reprise

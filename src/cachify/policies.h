#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cachify/policy_parameter.h"
#include "graph/graph.h"
#include "graph/outline.h"
#include "models/facts.h"
#include "reprise/message.h"
#include "reprise/policies.h"
#include "reprise/profile.h"
#include "reprise/running_policies.h"

namespace reprise::cachify {

/// What a policy may look at: the denoiser, and the run that it is for.
struct PolicyContext {
    std::string_view denoiser_class;
    const graph::Graph& graph;  ///< the denoiser's structure
    /// Asked for where a file says which denoiser it is for. Empty: only the class can be compared.
    std::function<DenoiserIdentity()> identity = {};
    std::filesystem::path folder = {};  ///< of the model: where `auto` looks for what was tuned
    MeasuredRun run = {};               ///< the run, as far as it is known: 0 and "" are not
    bool adds_noise = false;            ///< whether the run's sampler draws noise at each step
    bool decides_while_running = true;  ///< whether what runs the modules can do so
    /// Hears in one line what `auto` chose, and of files that cannot be used.
    OnMessage on_message = {};

    void say(Message::Level level, std::string text) const {
        if (on_message) on_message({level, std::move(text)});
    }
};

/// Error (usage), in which `origin` names the file, unless what was found for that denoiser may be used here.
void check_identity(const DenoiserIdentity& found, const PolicyContext& context, std::string_view origin);

Config deep_cache(const PolicyContext& context, const DeepCacheOptions& options);
Config attention_broadcast(const PolicyContext& context, const AttentionBroadcastOptions& options);
Config dual_block_cache(const PolicyContext& context, const DualBlockCacheOptions& options);
Config mag_cache(const PolicyContext& context, const Profile& profile, const MagCacheOptions& options);
Config tea_cache(const PolicyContext& context, const Profile& profile, const TeaCacheOptions& options);

/// An entry about the modules of these names.
Entry of_names(const std::vector<std::string>& names, const StepFunction& steps,
               const std::vector<ModuleKind>& kinds, Store store = {});

/// Fewer steps than that, as distilled models take, leave nothing to reuse: neighbours differ too much.
inline constexpr int kFewSteps = 8;

/// What reuses best at about this speed, said in one line: the configuration in the model's folder
/// (reprise/tuned-*.json) that was tuned for this denoiser and number of steps, of several the one whose
/// speed is nearest, of equally near ones that of the run's sampler; else the nearest preset that was
/// measured ahead of fewer steps for this class of denoiser; else nothing. Error (usage) for a speedup that
/// is none.
Config auto_config(const PolicyContext& context, double speedup);

using models::Preset;
/// The presets of a class of denoiser, from the nearest to the full result to the fastest; empty where none
/// were measured.
std::span<const Preset> presets_of(std::string_view denoiser_class);

/// The default configuration of a denoiser: the published ones at their depths, for others what facts say
/// (all but the last block of a UNet, the last quarter of PixArt, the last third of SD3). Error (usage) for a
/// class without one.
Config default_config(const PolicyContext& context);
/// The original's example as it is written, where that means something else. Error (usage) for a class of
/// which that is not known.
Config original_example(const PolicyContext& context);

/// The denoiser's outline.
graph::Outline outline_of(const PolicyContext& context);
/// How many paths DeepCache has there: the values of its branch. With skips the depth of their nesting, else
/// so many blocks at each end that some are left between.
int count_paths(const graph::Outline& outline);

/// A policy that has a name.
struct NamedPolicy {
    std::string_view name;
    std::string_view source;  ///< the paper
    std::span<const PolicyParameter> parameters;
    /// With what was given of these parameters.
    Config (*make)(const PolicyContext& context, std::span<const PolicyParameter> parameters,
                   const std::vector<PolicyValue>& values) = nullptr;
};

/// All of them: the list to add a policy to.
std::span<const NamedPolicy> policies();

/// Those that every policy has beside its own.
std::span<const PolicyParameter> common_parameters();

/// f16 or bf16; Error (usage) for another.
DType kept_in_from(std::string_view name);

/// Whether a text begins with a policy's name.
bool names_policy(std::string_view text);
Config make_policy(const PolicyContext& context, std::string_view text);

/// As the public one; an entry may also be {"policy": "deepcache:interval=3"}.
Config parse_config(std::string_view json, std::string_view origin, const PolicyContext& context);

}  // namespace reprise::cachify

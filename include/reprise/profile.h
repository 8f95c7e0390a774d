#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/cachify.h"

namespace reprise::cachify {

/// Which denoiser something was measured on. Empty where it is not known.
struct DenoiserIdentity {
    std::string class_name;  ///< in diffusers
    std::string config;      ///< fingerprint of its config.json, but for versions and paths
    std::string weights;  ///< fingerprint of a sample of its weights, equal for f32 files and their f16 copy

    friend bool operator==(const DenoiserIdentity&, const DenoiserIdentity&) = default;
};

/// How a denoiser was run when something was measured.
struct MeasuredRun {
    std::string scheduler;  ///< diffusers' class
    int num_inference_steps = 0;
    int width = 0, height = 0;  ///< of the latents
    double guidance_scale = 0;
    std::string precision;
    std::vector<std::string> prompts;
    std::vector<std::uint64_t> seeds;

    friend bool operator==(const MeasuredRun&, const MeasuredRun&) = default;
};

/// How much a denoiser's parts change from step to step without reuse: what policies that need to know that
/// are made from. All numbers are means over prompts and seeds.
struct Profile {
    struct Module {
        std::string name;
        ModuleKind kind = ModuleKind::block;
        bool residual = false;  ///< whether what it adds to its stream was looked at, or its plain outputs
        /// [step]: sum |C(step) - C(step - 1)| / sum |C(step)| (Wimbauer et al., arXiv 2312.03209); step 0:
        /// 0.
        std::vector<double> change;

        friend bool operator==(const Module&, const Module&) = default;
    };

    DenoiserIdentity model;
    MeasuredRun run;
    std::vector<Module> modules;
    /// [step]: mean over tokens (pixels) of |R(step)| / |R(step - 1)|, R what all blocks together add to
    /// their stream (MagCache, Ma et al., arXiv 2506.09045); step 0: 1.
    std::vector<double> block_ratios;
    /// The same for the whole denoiser: R is its prediction less its input.
    std::vector<double> denoiser_ratios;
    /// TeaCache (Liu et al., arXiv 2411.19108): for each run and step from 1 on, the change relative to the
    /// step before of the first block's input as the timestep modulates it, and of the prediction.
    std::vector<double> input_changes, output_changes;
    /// Fitted to these pairs by least squares: the change of the prediction from that of the input, highest
    /// power first.
    std::vector<double> polynomial;
    double polynomial_error = 0;  ///< root mean square of what the fit leaves

    friend bool operator==(const Profile&, const Profile&) = default;
};

/// The JSON form, and back. Error (usage) naming the file and what is wrong with it.
std::string to_json(const Profile& profile);
Profile parse_profile(std::string_view json, std::string_view origin);
Profile load_profile(const std::filesystem::path& path);

/// Least squares by orthogonal columns on inputs scaled to [-1, 1]; a smaller degree where there are too few
/// distinct inputs. Highest power first, of the inputs as they are. Error (failure) without points.
std::vector<double> fit_polynomial(const std::vector<double>& inputs, const std::vector<double>& outputs,
                                   int degree);
double evaluate_polynomial(const std::vector<double>& polynomial, double x);

/// What a configuration was made from, and what was measured of it.
struct Evidence {
    DenoiserIdentity model;
    MeasuredRun run;
    std::map<std::string, double> figures;
    std::map<std::string, std::string> notes;

    friend bool operator==(const Evidence&, const Evidence&) = default;
};
/// A configuration's JSON form with its evidence: taken for that denoiser and that number of steps only.
/// Error (usage) when an entry holds a C++ function.
std::string to_json(const Config& config, const Evidence& evidence);
/// The evidence of such a file. Error (usage) naming the file when it has none.
Evidence parse_evidence(std::string_view json, std::string_view origin);

/// Block Caching (Wimbauer et al., arXiv 2312.03209): each module runs again where its change, summed up
/// since it last ran, exceeds the threshold. Its scale-shift correction needs training and is left out.
struct BlockCachingOptions {
    double threshold = 0.2;  ///< more is faster; 0 reuses nothing
    /// The kinds of module that are given a schedule; the paper's are transformers, published as blocks here.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    friend bool operator==(const BlockCachingOptions&, const BlockCachingOptions&) = default;
};
/// The steps at which something is reused whose changes are these ([step], the first counting for nothing).
/// `hidden`, in order: steps at which it neither runs nor is asked for, since what it is part of is reused.
std::vector<int> block_caching_steps(const std::vector<double>& change, double threshold,
                                     const std::vector<int>& hidden = {});
/// What a module adds is kept where it has a stream, its outputs elsewhere. Error (usage) when the profile
/// has no module of these kinds.
Config block_caching(const Profile& profile, const BlockCachingOptions& options = {});

}  // namespace reprise::cachify

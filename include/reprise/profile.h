#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/cachify.h"

#pragma GCC visibility push(default)

namespace reprise::cachify {

/// The denoiser on which something was measured. Fields are empty where they are not known.
struct DenoiserIdentity {
    std::string class_name;  ///< in diffusers
    std::string config;      ///< fingerprint of its config.json without versions and paths
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

/// How much a denoiser's parts change from step to step without reuse. Some policies are made from this. All
/// numbers are means over prompts and seeds.
struct Profile {
    struct Module {
        std::string name;
        ModuleKind kind = ModuleKind::block;
        bool residual = false;  ///< true: measured on what it adds to its stream; false: on its outputs
        /// [step]: sum |C(step) - C(step - 1)| / sum |C(step)| (Wimbauer et al., arXiv 2312.03209); step 0:
        /// 0.
        std::vector<double> change;

        friend bool operator==(const Module&, const Module&) = default;
    };

    DenoiserIdentity model;
    MeasuredRun run;
    std::vector<Module> modules;
    /// [step]: mean over tokens (pixels) of |R(step)| / |R(step - 1)|, where R is what all blocks together
    /// add to their stream (MagCache, Ma et al., arXiv 2506.09045); step 0: 1.
    std::vector<double> block_ratios;
    /// The same for the whole denoiser: R is its prediction minus its input.
    std::vector<double> denoiser_ratios;
    /// TeaCache (Liu et al., arXiv 2411.19108). For each run and step from 1 on, the relative change since
    /// the step before: of the first block's input after modulation by the timestep, and of the prediction.
    std::vector<double> input_changes, output_changes;
    /// The change of the prediction as a polynomial of the change of the input, fitted to these pairs by
    /// least squares; highest power first.
    std::vector<double> polynomial;
    double polynomial_error = 0;  ///< root mean square of the fit's residuals

    friend bool operator==(const Profile&, const Profile&) = default;
};

/// Writes and reads the JSON form. Error (usage) that names the file (`origin`) and what is wrong with it.
std::string to_json(const Profile& profile);
Profile parse_profile(std::string_view json, std::string_view origin);
Profile load_profile(const std::filesystem::path& path);

/// Fits a polynomial by least squares, with orthogonal columns on inputs scaled to [-1, 1]. The degree is
/// smaller where there are too few distinct inputs. The coefficients are for the unscaled inputs, highest
/// power first. Error (failure) without points.
std::vector<double> fit_polynomial(const std::vector<double>& inputs, const std::vector<double>& outputs,
                                   int degree);
double evaluate_polynomial(const std::vector<double>& polynomial, double x);

/// What a configuration was made from, and what was measured with it.
struct Evidence {
    DenoiserIdentity model;
    MeasuredRun run;
    std::map<std::string, double> figures;
    std::map<std::string, std::string> notes;

    friend bool operator==(const Evidence&, const Evidence&) = default;
};
/// A configuration's JSON form with its evidence. It is accepted for that denoiser and that number of steps
/// only. Error (usage) when an entry holds a C++ function.
std::string to_json(const Config& config, const Evidence& evidence);
/// The evidence in such a file. Error (usage) that names the file when it has none.
Evidence parse_evidence(std::string_view json, std::string_view origin);

/// Block Caching (Wimbauer et al., arXiv 2312.03209). Each module runs again where its change, summed since
/// it last ran, exceeds the threshold. The paper's scale-shift correction needs training and is left out.
struct BlockCachingOptions {
    double threshold = 0.2;  ///< a larger threshold is faster; 0 reuses nothing
    /// The kinds of module that get a schedule. The paper uses transformers; the default here is blocks.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    friend bool operator==(const BlockCachingOptions&, const BlockCachingOptions&) = default;
};
/// The steps at which a module with these changes is reused. `change` is by step; its first value is not
/// used. `hidden`: the steps, in order, at which the module does not run and is not needed, because a module
/// around it is reused.
std::vector<int> block_caching_steps(const std::vector<double>& change, double threshold,
                                     const std::vector<int>& hidden = {});
/// A configuration made from a profile. What a module adds is kept where it has a stream; otherwise its
/// outputs are kept. Error (usage) when the profile has no module of these kinds.
Config block_caching(const Profile& profile, const BlockCachingOptions& options = {});

}  // namespace reprise::cachify

#pragma GCC visibility pop

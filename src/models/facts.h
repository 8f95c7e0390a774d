#pragma once

#include <array>
#include <span>
#include <string_view>

#include "graph/outline.h"

namespace reprise::models {

/// A policy without parameters for a class of denoiser, and what was measured of it (docs/policies.md).
struct Preset {
    std::string_view policy;
    double speedup;           ///< of the denoiser's steps
    double gain, gain_error;  ///< dB over fewer steps in the same time, with its standard error
    bool decides_while_running;
    /// Whether it is ahead of fewer steps by more than twice the error.
    constexpr bool is_ahead() const { return gain > 2 * gain_error; }
};

/// How the blocks of a UNet are called. Needed where a denoiser is known as a list of modules alone; a graph
/// says by itself how they are joined.
struct UNetNames {
    std::string_view down, middle, up;      ///< stacks
    std::array<std::string_view, 2> layer;  ///< lists in a block of which one layer has a module each
    std::string_view downsampler, upsampler;
};

/// The configurations that NVIDIA's cache_diffusion has for published models, as JSON.
inline constexpr std::string_view kSdxlDefault =
    R"([{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step % 2 != 0"}])";
inline constexpr std::string_view kPixArtDefault =
    R"([{"wildcard_or_filter_func": {"not": {"regex": "transformer_blocks\\.(2[1-7])$"}},
         "select_cache_step_func": "step % 3 != 0"}])";
/// Its example for PixArt as it is written, which means something else.
inline constexpr std::string_view kPixArtAsWritten =
    R"([{"wildcard_or_filter_func": {"not": {"regex": "transformer_blocks\\.(2[1-7])\\."}},
         "select_cache_step_func": "step % 3 != 0"}])";
inline constexpr std::string_view kSvdDefault =
    R"([{"wildcard_or_filter_func": {"not": "*up_blocks.3*"}, "select_cache_step_func": "step % 2 != 0"}])";
inline constexpr std::string_view kSd3Default =
    R"([{"wildcard_or_filter_func": {"not": {"regex": "transformer_blocks\\.(1[6-9]|2[0-3])$"}},
         "select_cache_step_func": "step % 2 != 0"}])";

/// What is known of a class of denoiser beside its graph.
struct DenoiserFacts {
    std::string_view class_name;  ///< in diffusers

    /// The configuration for a published model of this class, and what takes its place at other depths.
    struct Published {
        std::string_view config;
        std::size_t depth;  ///< of that model's last stack
        /// Of denoisers of other depths: the share of the last stack, at least its last block, that always
        /// runs, and the steps at which the blocks before are reused.
        double runs;
        std::string_view steps;
        std::string_view as_written =
            {};  ///< the original's example, where it means something else; or empty
    } published;

    /// Whether the conditional half of guidance can go on alone; else it is the unconditional one.
    bool conditional_alone = false;

    /// From the nearest to the full result to the fastest, what was ahead of fewer steps by most on the
    /// bundled model among the policies that need no profile, with what was then measured on 32 other pairs.
    std::array<Preset, 4> presets;

    const UNetNames* unet = nullptr;  ///< null for what has no skips
};

/// All of them: the list to add a class of denoiser to.
std::span<const DenoiserFacts> denoiser_facts();

/// Those of a class; null where nothing is known.
const DenoiserFacts* facts_of(std::string_view class_name);

/// The outline of a denoiser of that class, without other parts. Of a graph without nodes, which lists
/// modules alone, the blocks follow one another unless the class is one with skips; streams are then unknown.
graph::Outline outline_of(std::string_view class_name, const graph::Graph& graph);

}  // namespace reprise::models

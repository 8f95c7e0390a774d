#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache_names.h"
#include "options/row.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"
#include "row_flags.h"
#include "terminal.h"

namespace reprise::app {

/// What every command is given.
struct Context {
    Terminal& terminal;
};

/// Where the model is and how it is run.
struct ModelOptions {
    std::string model;
    RowFlags flags{options::load_options()};
    LoadOptions base = {};  ///< where no flag says otherwise

    bool keep = false;          ///< large components stay in memory between runs
    bool text_encoders = true;  ///< false: prompts come as embeddings

    LoadOptions load_options() const;
    /// The same, for several runs in one process.
    ModelOptions kept() const;
};

/// What is reused.
struct CacheOptions {
    std::string cache = "auto", count = "steps";
    bool given = false;              ///< as a flag
    std::optional<Reuse> like = {};  ///< in place of both: what a picture was drawn with

    bool off() const { return cache == "off"; }
    cachify::Count counting() const;
};

/// How the sampler runs; what it needs besides prompts.
struct SamplingOptions {
    RowFlags flags{options::generate_options()};

    GenerateOptions generate_options() const;
    std::uint64_t seed() const { return flags.value("seed").get<std::uint64_t>(); }
};

/// What to draw.
struct PromptOptions {
    RowFlags flags{options::generate_options()};
    std::string prompts_file, embeddings;

    /// Whether there are any.
    bool given() const { return flags.has("prompts") || !prompts_file.empty(); }
    /// The prompts given, or the lines of the file that are not blank. Error (usage) when there are none.
    std::vector<std::string> prompts() const;
    /// Puts them into the options, or the file of embeddings. Yields them, or what the file says they were.
    std::vector<std::string> apply_to(GenerateOptions& options) const;
};

/// Which picture to animate, and how.
struct AnimationOptions {
    std::vector<std::string> images;  ///< one, unless the command takes several
    RowFlags flags{options::generate_options()};

    bool given() const { return !images.empty(); }
    /// The pictures' names without their folders.
    std::vector<std::string> names() const;
    /// Reads the pictures, puts the first into the options, and yields them all.
    std::vector<Image> apply_to(GenerateOptions& options) const;
};

/// Prompts, or pictures to animate.
struct Subjects {
    std::vector<std::string> prompts;
    std::vector<Image> images;
};
/// Puts the first picture, or how prompts are drawn, into the options. Yields what was given, which may be
/// nothing. Error (usage) for both, and for prompts with what is asked of videos.
Subjects apply_what_to_draw(const PromptOptions& prompts, const AnimationOptions& animation,
                            GenerateOptions& options);

struct OutputOptions {
    bool json = false, verbose = false, quiet = false;

    Loudness loudness() const {
        return quiet ? Loudness::quiet : verbose ? Loudness::verbose : Loudness::normal;
    }
};

void add_model_options(CLI::App& command, ModelOptions& options);
void add_cache_options(CLI::App& command, CacheOptions& options);
/// The same for several configurations; "auto" alone where none is given.
void add_caches_options(CLI::App& command, std::vector<std::string>& caches, std::string& count);
/// Steps, size, seed, scheduler: all but guidance.
void add_run_options(CLI::App& command, SamplingOptions& options);
/// The same with guidance by text.
void add_sampling_options(CLI::App& command, SamplingOptions& options);
enum class Picture { required, optional, several };
void add_animation_options(CLI::App& command, AnimationOptions& options, Picture picture);
void add_prompt_options(CLI::App& command, PromptOptions& options);
/// The same prompts as a file that `reprise encode` wrote.
void add_embeddings_option(CLI::App& command, PromptOptions& options);
/// `json`: what the command prints with --json.
void add_output_options(CLI::App& command, OutputOptions& options,
                        const std::string& json = "One JSON object");

/// Whole numbers from `smallest` on.
CLI::Validator at_least(int smallest);

/// Applies the loudness, once the options are parsed.
void set_up(Context& context, const OutputOptions& options);

/// Which steps a configuration will reuse something at, by its own functions; for the progress bar.
std::vector<bool> expected_reuse(const std::optional<Reuse>& reuse, int num_steps);

}  // namespace reprise::app

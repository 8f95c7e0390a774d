#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "memory.h"
#include "options.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"

namespace reprise::app {

/// A loaded pipeline with what it is to reuse: what every command that runs a model starts from.
struct Session {
    double load_seconds = 0;
    Pipeline pipe;
    std::optional<cachify::Config> config;  ///< what is reused; for the settings that are kept

    Session(Context& context, const ModelOptions& model);

    /// Puts what is to be reused into the options of a call, and says what it is. Error (usage) where it
    /// cannot be planned.
    void choose_reuse(Context& context, const CacheOptions& cache, GenerateOptions& options);
    /// Gives options progress on the terminal and the stop at Ctrl-C, for what runs the pipeline itself.
    static void watch(Context& context, GenerateOptions& options);
    /// Runs with progress on the terminal. Stops at Ctrl-C with an Error of kind `cancelled`.
    /// `title` names one of several runs.
    GenerateOutput run(Context& context, GenerateOptions options, std::string title = {});
};

/// Says what a run reused and how long its phases took. `input`: what was encoded, "text" or "picture".
void say_what_ran(Context& context, const RunReport& run, double load_seconds, std::string_view input);
/// The report of a run as JSON, with what opening took and the memory of the process.
nlohmann::ordered_json to_json(const RunReport& run, double load_seconds, const MemoryWatch& memory);

/// Noise from a file that --latents-out wrote, or no tensor for no file. Error (usage) for another file.
Tensor read_latents(const std::string& path);

/// The configuration's name and entries for settings that are kept: "modelopt: ...", "off".
std::string cache_text(const CacheOptions& options, const std::optional<cachify::Config>& config);
/// The last part of the folder's name.
std::string model_name(const ModelOptions& options);
/// Peak and present memory of the process.
nlohmann::ordered_json to_json(const MemoryWatch& watch);

}  // namespace reprise::app

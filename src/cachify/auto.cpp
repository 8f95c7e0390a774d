// What reuses best where nobody says how: what was tuned, else a preset that is ahead of fewer steps, else
// nothing.
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <tuple>

#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "cachify/units.h"
#include "files/json.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

struct TunedFile {
    std::string path, text;
    MeasuredRun run;
    double speedup = 0;
};

/// Whether the file was tuned for this denoiser. What is broken is reported: it is no reason to do without
/// the others.
bool read(const std::filesystem::path& path, const PolicyContext& context, TunedFile& file) {
    try {
        file.path = path.string();
        file.text = read_text_file(path);
        const Evidence evidence = parse_evidence(file.text, file.path);
        const auto figure = evidence.figures.find("speedup");
        if (figure == evidence.figures.end()) usage_error("{}: its evidence names no speedup", file.path);
        file.speedup = figure->second;
        if (!(file.speedup >= 1))
            usage_error("{}: its speedup is {}; expected at least 1", file.path, file.speedup);
        file.run = evidence.run;
        try {
            check_identity(evidence.model, context, file.path);
        } catch (const Error& other) {
            spdlog::debug("{}", other.what());
            return false;
        }
        return true;
    } catch (const Error& broken) {
        context.say(Message::Level::warning, broken.what());
        return false;
    }
}

std::vector<TunedFile> tuned_files(const PolicyContext& context) {
    std::vector<TunedFile> files;
    if (context.folder.empty()) return files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(context.folder / "reprise", error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("tuned-") || !name.ends_with(".json")) continue;
        if (TunedFile file; read(entry.path(), context, file)) files.push_back(std::move(file));
    }
    return files;
}

/// In what a run differs from the one that was measured, beside the number of steps.
std::string differences(const MeasuredRun& measured, const MeasuredRun& run) {
    std::vector<std::string> found;
    const auto compare = [&](bool known, const auto& there, const auto& here, std::string_view format) {
        if (known && there != here) found.push_back(fmt::format(fmt::runtime(format), there, here));
    };
    compare(!run.scheduler.empty(), measured.scheduler, run.scheduler, "sampler {}, here {}");
    compare(run.width > 0, fmt::format("{}x{}", measured.width, measured.height),
            fmt::format("{}x{}", run.width, run.height), "latents of {}, here {}");
    compare(run.guidance_scale > 0, measured.guidance_scale, run.guidance_scale, "guidance {}, here {}");
    compare(!run.precision.empty(), measured.precision, run.precision, "{}, here {}");
    return found.empty() ? "" : fmt::format(" (it was tuned with {})", fmt::join(found, "; "));
}

constexpr std::string_view kOthers = "another policy is taken by its name (reprise policies lists them)";

struct Choice {
    Config config;
    std::string line;
};

/// Error (usage) that names the file where its configuration is broken, empty or not for this denoiser.
Choice from_file(const TunedFile& file, const PolicyContext& context) {
    PolicyContext within = context;
    within.folder.clear();  // a tuned configuration that asks for `auto` finds no other
    Config config = parse_config(file.text, file.path, within);
    if (config.empty()) usage_error("{}: it has no entries", file.path);
    try {
        const int steps = file.run.num_inference_steps;
        const auto units = with_units(context.graph, config);
        make_schedule(units ? units->graph : context.graph, units ? units->config : config, steps, 2);
    } catch (const Error& error) {
        usage_error("{}: {}", file.path, error.what());
    }
    return {std::move(config),
            fmt::format("reuses what {} says, tuned for {:g} times the speed in {} steps{}; {}",
                        std::filesystem::path(file.path).filename().string(), file.speedup,
                        file.run.num_inference_steps, differences(file.run, context.run), kOthers)};
}

/// What says that nothing tuned is used.
std::string without_tuned(const std::vector<TunedFile>& all, const PolicyContext& context) {
    if (all.empty()) return "nothing was tuned for this model";
    std::vector<int> steps;
    for (const TunedFile& file : all) steps.push_back(file.run.num_inference_steps);
    std::sort(steps.begin(), steps.end());
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    return fmt::format("this model was tuned for {} steps, not for {}", fmt::join(steps, " and "),
                       context.run.num_inference_steps);
}

Choice from_presets(const PolicyContext& context, double speedup, const std::string& why) {
    const auto nothing = [&](const std::string& reason) {
        return Choice{{}, fmt::format("nothing is reused: {}, and {}; {}", why, reason, kOthers)};
    };
    const int steps = context.run.num_inference_steps;
    if (steps > 0 && steps < kFewSteps)
        return nothing(fmt::format("{} steps differ too much from one to the next", steps));
    if (context.adds_noise)
        return nothing(fmt::format("{} adds noise at every step, which no preset was measured with",
                                   context.run.scheduler));
    const Preset* best = nullptr;
    for (const Preset& preset : presets_of(context.denoiser_class)) {
        if (!preset.is_ahead() || (preset.decides_while_running && !context.decides_while_running)) continue;
        if (best == nullptr || std::abs(preset.speedup - speedup) < std::abs(best->speedup - speedup))
            best = &preset;
    }
    if (best == nullptr)
        return nothing(fmt::format("no preset {}is ahead of fewer steps on a {}",
                                   context.decides_while_running ? "" : "that runs here ",
                                   context.denoiser_class));
    return {make_policy(context, best->policy),
            fmt::format("{}: {} is used, which is ahead of fewer steps on such denoisers; {}", why,
                        best->policy, kOthers)};
}

Choice choose(const PolicyContext& context, double speedup) {
    auto files = tuned_files(context);
    const std::string without = without_tuned(files, context);
    std::erase_if(files, [&](const TunedFile& file) {
        const int steps = context.run.num_inference_steps;
        return steps > 0 && file.run.num_inference_steps != steps;
    });
    const auto distance = [&](const TunedFile& file) {
        return std::tuple(std::abs(file.speedup - speedup), file.run.scheduler != context.run.scheduler,
                          file.path);
    };
    std::sort(files.begin(), files.end(),
              [&](const TunedFile& a, const TunedFile& b) { return distance(a) < distance(b); });
    for (const TunedFile& file : files) {
        try {
            return from_file(file, context);
        } catch (const Error& broken) {  // no reason to do without the others
            context.say(Message::Level::warning, broken.what());
        }
    }
    return from_presets(context, speedup, files.empty() ? without : "what was tuned cannot be used");
}

}  // namespace

Config auto_config(const PolicyContext& context, double speedup) {
    if (!(speedup >= 1)) usage_error("auto: speedup is {}; expected at least 1", speedup);
    Choice choice = choose(context, speedup);
    context.say(Message::Level::info, "auto: " + choice.line);
    return std::move(choice.config);
}

}  // namespace reprise::cachify

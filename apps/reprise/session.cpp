#include "session.h"

#include <chrono>
#include <filesystem>

#include "files/safetensors.h"
#include "interrupt.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/config_text.h"
#include "report/run.h"
#include "report/text.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Session::Session(Context& context, const ModelOptions& model)
    : pipe([&] {
          note_interrupts();
          context.terminal.phase("load");
          const auto begin = Clock::now();
          auto opened = Pipeline::from_pretrained(model.model, model.load_options());
          load_seconds = std::chrono::duration<double>(Clock::now() - begin).count();
          return opened;
      }()) {
    stop_if_interrupted();
}

void Session::choose_reuse(Context& context, const CacheOptions& cache, GenerateOptions& options) {
    const auto& implementation = pipe.implementation();
    bool said = false;
    if (cache.like) {
        options.reuse = cache.like;
        if (const auto* its = std::get_if<cachify::Config>(&cache.like->what)) config = *its;
        context.terminal.note("cache " + cache_text(cache, config));
        if (config)
            implementation.denoiser().plan(implementation.request(options, implementation.outlook(options)));
        return;
    }
    config = cache_config(cache.cache, implementation, options, [&](const std::string& line) {
        context.terminal.note("cache " + line);
        said = true;
    });
    if (said && config->empty()) config.reset();
    if (!said) context.terminal.note("cache " + cache_text(cache, config));
    options.reuse = config ? Reuse(*config, cache.counting()) : Reuse();
    if (config)  // shows what is wrong with it before text encoders are compiled
        implementation.denoiser().plan(implementation.request(options, implementation.outlook(options)));
}

void Session::watch(Context& context, GenerateOptions& options) {
    options.on_phase = [&context](std::string_view name) {
        stop_if_interrupted();
        context.terminal.phase(name);
    };
    options.stop = interrupt_token();
    options.callback_on_step_end = [&context, user = options.callback_on_step_end](StepInfo& info) {
        context.terminal.step(info);
        return (!user || user(info)) && !interrupted();
    };
}

GenerateOutput Session::run(Context& context, GenerateOptions options, std::string title) {
    watch(context, options);
    context.terminal.begin_run(expected_reuse(options.reuse, options.num_inference_steps.value_or(1)),
                               std::move(title));
    try {
        auto output = pipe(options);
        context.terminal.end();
        stop_if_interrupted();
        return output;
    } catch (...) {
        context.terminal.end();
        throw;
    }
}

void say_what_ran(Context& context, const RunReport& run, double load_seconds, std::string_view input) {
    context.terminal.note(run.summary);
    context.terminal.note(fmt::format("load {}, {} {}, compile {}, denoise {}, decode {}",
                                      human_seconds(load_seconds), input, human_seconds(run.text_seconds),
                                      human_seconds(run.compile_seconds), human_seconds(run.denoise_seconds),
                                      human_seconds(run.decode_seconds)));
}

nlohmann::ordered_json to_json(const RunReport& run, double load_seconds, const MemoryWatch& memory) {
    auto json = report::to_json(run);
    json["seconds"]["load"] = load_seconds;
    json["memory"] = to_json(memory);
    return json;
}

Tensor read_latents(const std::string& path) {
    if (path.empty()) return {};
    const SafetensorsFile file(path);
    const auto tensor = file.find("latents");
    if (!tensor)
        usage_error(
            "{}: no tensor \"latents\" in it; expected one of shape (pictures, channels, height / 8, width / "
            "8), for videos (videos, frames, channels, height / 8, width / 8)",
            path);
    return *tensor;
}

std::string cache_text(const CacheOptions& options, const std::optional<cachify::Config>& config) {
    if (!config) return "off";
    return options.cache + ": " + (config->empty() ? "nothing" : report::describe(*config));
}

std::string model_name(const ModelOptions& options) {
    std::error_code error;
    const auto path = std::filesystem::canonical(options.model, error);
    return error ? options.model : path.filename().string();
}

nlohmann::ordered_json to_json(const MemoryWatch& watch) {
    const Memory now = memory_now();
    return {{"peak_resident_bytes", now.peak},
            {"peak_own_bytes", watch.peak_own()},
            {"resident_bytes", now.resident},
            {"own_bytes", now.own}};
}

}  // namespace reprise::app

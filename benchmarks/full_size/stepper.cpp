// A denoiser that steps on request, so that measure.py can interleave it with other engines. Public API only.
//
// Protocol (all workers here share it): one JSON object per line on standard output, first {"ready": ...},
// then one per step; after each line it waits for a line on standard input, and ends at end of file. Each
// line has the CPU time of all threads beside the seconds, which other processes on the machine disturb less.
// This one also says, without waiting, when a {"phase": ...} begins and, with --whole, {"whole": seconds} at
// the end of its one run.
#include <reprise/reprise.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

struct Options {
    std::string model, cache = "default", precision = "auto";
    int width = 512, height = 512, frames = 0, threads = 0, steps = 20;
    double guidance = 1;
    bool whole = false;
};

void say(const nlohmann::ordered_json& json) {
    std::cout << json.dump() << std::endl;
}

/// Of all threads since the process began.
double cpu_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// False at the end of the input.
bool wait_for_turn() {
    std::string line;
    return static_cast<bool>(std::getline(std::cin, line));
}

reprise::LoadOptions load_options(const Options& o) {
    reprise::LoadOptions result;
    if (o.precision == "f32") result.precision = reprise::DType::f32;
    if (o.precision == "bf16") result.precision = reprise::DType::bf16;
    result.threads = o.threads;
    return result;
}

reprise::GenerateOptions generate_options(const Options& o, const reprise::Pipeline& pipe) {
    reprise::GenerateOptions result;
    result.num_inference_steps = o.steps;
    result.width = o.width;
    result.height = o.height;
    result.decode = o.whole;
    if (pipe.class_name() == "StableVideoDiffusionPipeline") {
        result.image = reprise::Image(o.width, o.height);
        result.video.num_frames = o.frames;
        result.video.min_guidance_scale = result.video.max_guidance_scale = o.guidance;
    } else {
        result.prompt = "a photograph of a red apple on a table";
        result.guidance_scale = o.guidance;
    }
    return result;
}

void run(const Options& o) {
    auto pipe = reprise::Pipeline::from_pretrained(o.model, load_options(o));
    if (o.cache == "default")
        reprise::cachify::prepare(pipe, o.steps, reprise::cachify::make_policy(pipe, "modelopt"));
    else if (o.cache != "off")
        reprise::cachify::prepare(pipe, o.steps, reprise::cachify::load_config(pipe, o.cache));
    auto options = generate_options(o, pipe);
    bool ready = false, going = true;
    double cpu_begin = 0;
    const auto begin = std::chrono::steady_clock::now();
    const auto seconds = [begin] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    options.on_phase = [&](std::string_view phase) {
        say({{"phase", phase}, {"seconds", seconds()}});
        if (phase != "denoise" || ready) return;
        ready = true;
        say({{"ready", "reprise"}, {"load_seconds", seconds()}, {"cpu_seconds", cpu_seconds()}});
        going = wait_for_turn();
        cpu_begin = cpu_seconds();
    };
    options.callback_on_step_end = [&](const reprise::StepInfo& step) {
        say({{"step", step.reused ? "reused" : "full"},
             {"seconds", step.seconds},
             {"cpu_seconds", cpu_seconds() - cpu_begin},
             {"flops_share", step.flops_share}});
        going = wait_for_turn();
        cpu_begin = cpu_seconds();
        return going;
    };
    try {
        do {
            const auto report = pipe(options).report;
            if (o.whole) say({{"whole", seconds()}, {"kept_bytes", report.kept_bytes}});
        } while (going && !o.whole);
    } catch (const reprise::Error& error) {
        if (error.kind() != reprise::ErrorKind::cancelled) throw;
    }
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Steps a denoiser on request");
    Options options;
    app.add_option("--model", options.model, "Pipeline folder")->required();
    app.add_option("--cache", options.cache, "default, off, or a configuration file");
    app.add_option("--precision", options.precision)->check(CLI::IsMember({"auto", "f32", "bf16"}));
    app.add_option("--width", options.width);
    app.add_option("--height", options.height);
    app.add_option("--frames", options.frames, "Of a video");
    app.add_option("--threads", options.threads);
    app.add_option("--steps", options.steps);
    app.add_option("--guidance", options.guidance);
    app.add_flag("--whole", options.whole, "One run, to the decoded picture");
    CLI11_PARSE(app, argc, argv);
    try {
        run(options);
    } catch (const std::exception& error) {
        std::cerr << "reprise_stepper: " << error.what() << '\n';
        return 1;
    }
    return 0;
}

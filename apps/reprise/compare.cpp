#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "commands.h"
#include "graph/graph.h"
#include "io/metrics.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/comparison.h"
#include "report/run.h"
#include "report/text.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace {

namespace fs = std::filesystem;

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    AnimationOptions animation;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string out = "comparison";
    int runs = 3;
    int fewer = 0;
};

struct Places {
    fs::path sheet, page;
    fs::path folder;  ///< of the pictures by themselves; empty: not written
};

/// Where the results go, checked (and the folder made) before anything is computed.
Places places(const std::string& out) {
    const fs::path path = out;
    if (path.extension() == ".png" || path.extension() == ".webp") {
        check_picture_path(path);
        fs::path page = path;
        check_writable(page.replace_extension(".html"));
        return {path, page, {}};
    }
    std::error_code error;
    if (!fs::is_directory(path, error) && !fs::create_directory(path, error))
        usage_error("cannot make the folder {}: {}", path.string(),
                    error ? error.message() : "something else has this name");
    check_writable(path / "comparison.png");
    return {path / "comparison.png", path / "comparison.html", path};
}

/// Runs the three ways by turns.
class Bout {
  public:
    Bout(Context& context, const Options& options, Session& session)
        : context_(context), o_(options), session_(session) {
        base_ = session.pipe.implementation().with_defaults(o_.sampling.generate_options());
        if (o_.animation.given())
            o_.animation.apply_to(base_);
        else
            o_.prompts.apply_to(base_);
        auto& pipe = session.pipe.implementation();
        const auto graph = pipe.denoiser().structure(pipe.outlook(base_).shape);
        const double bytes = static_cast<double>(parameter_count(graph, 0)) *
                             static_cast<double>(size_of(pipe.engine().options.precision));
        one_cut_ = bytes > kTwiceCompiledBytes;
    }

    bool one_cut() const { return one_cut_; }
    std::string guidance() const {
        const AnimateOptions& video = base_.video;
        return o_.animation.given()
                   ? fmt::format("{} to {}", video.min_guidance_scale, video.max_guidance_scale)
                   : fmt::format("{}", *base_.guidance_scale);
    }

    report::Comparison run() {
        report::Comparison result;
        result.full.num_steps = result.reused.num_steps = *base_.num_inference_steps;
        // The first runs also compile; what follows tells how many steps the third way may take.
        const int steps = *base_.num_inference_steps;
        double full = full_run(steps, "full, warming up").report.denoise_seconds;
        double reused = reused_run("reused, warming up").report.denoise_seconds;
        for (int i = 0; i < (one_cut_ ? 0 : kTrials); ++i) {
            full = std::min(full, full_run(steps, "full, trial").report.denoise_seconds);
            reused = std::min(reused, reused_run("reused, trial").report.denoise_seconds);
        }
        result.fewer.num_steps = o_.fewer > 0 ? o_.fewer : fewer_steps(full, reused);
        if (result.fewer.num_steps != steps) full_run(result.fewer.num_steps, "fewer steps, warming up");
        for (int r = 1; r <= o_.runs; ++r) {
            const auto label = [&](const char* name) {
                return fmt::format("{}, run {} of {}", name, r, o_.runs);
            };
            keep(result.full, full_run(result.full.num_steps, label("full")));
            keep(result.reused, reused_run(label("reused")));
            keep(result.fewer, full_run(result.fewer.num_steps, label("fewer steps")));
        }
        result.measure();
        result.summary = result.reused.runs.back().summary;
        return result;
    }

  private:
    /// Runs of each way, besides the first, of which the fastest counts.
    static constexpr int kTrials = 2;
    /// Beyond this the full way runs over the pieces of the reused one, so that weights are compiled once.
    static constexpr double kTwiceCompiledBytes = 1e9;

    static void keep(report::Way& way, GenerateOutput output) {
        way.runs.push_back(std::move(output.report));
        way.images = std::move(output.images);
        const Shape& shape = output.latents.shape();
        way.latents = shape.size() == 5  // of videos: a row for each frame, as for each picture
                          ? output.latents.reshaped({shape[0] * shape[1], shape[2], shape[3], shape[4]})
                          : output.latents;
    }

    GenerateOutput full_run(int steps, const std::string& label) {
        if (one_cut_) {
            if (!session_.pipe.implementation().denoiser().preparation)
                cachify::prepare(session_.pipe, *base_.num_inference_steps, *session_.config,
                                 o_.cache.counting());
            cachify::disable(session_.pipe);
        } else {
            cachify::unprepare(session_.pipe);
        }
        auto options = base_;
        options.num_inference_steps = steps;
        return session_.run(context_, options, label);
    }

    GenerateOutput reused_run(const std::string& label) {
        auto& denoiser = session_.pipe.implementation().denoiser();
        if (one_cut_)
            cachify::enable(session_.pipe);
        else
            denoiser.preparation = pipelines::Preparation{*session_.config, *base_.num_inference_steps,
                                                          o_.cache.counting(), true};
        return session_.run(context_, base_, label);
    }

    /// The fewest steps whose time is not below the reused run's, by the time of one evaluation.
    int fewer_steps(double full_seconds, double reused_seconds) const {
        const auto evaluations = [&](int steps) {
            auto options = base_;
            options.num_inference_steps = steps;
            return static_cast<double>(session_.pipe.implementation().outlook(options).evaluations.size());
        };
        const double one = full_seconds / evaluations(*base_.num_inference_steps);
        int steps = 1;
        while (steps < *base_.num_inference_steps && evaluations(steps) * one < reused_seconds) ++steps;
        return steps;
    }

    Context& context_;
    const Options& o_;
    Session& session_;
    GenerateOptions base_;
    bool one_cut_ = false;
};

void write(const Places& places, const report::Comparison& comparison, Outputs& files) {
    files.add(places.sheet, report::contact_sheet(comparison), {});
    files.add(places.page, report::to_html(comparison));
    if (!places.folder.empty()) {
        const auto add = [&](const char* name, const report::Way& way) {
            const auto paths = picture_paths((places.folder / name).string() + ".png", way.images.size(), 0);
            for (std::size_t i = 0; i < paths.size(); ++i) files.add(paths[i], way.images[i], {});
        };
        add("full", comparison.full);
        add("reused", comparison.reused);
        add("fewer", comparison.fewer);
    }
    files.commit();
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    const bool animates = o.animation.given();
    const auto prompts =
        animates ? std::vector{fs::path(o.animation.image).filename().string()} : o.prompts.prompts();
    if (o.cache.off()) usage_error("--cache off: compare needs a configuration to compare with the full run");

    Session session(context, o.model.kept(), o.cache);
    Bout bout(context, o, session);
    session.prepare(context, o.cache, o.sampling.steps);
    const Places where = places(o.out);
    if (bout.one_cut())
        context.terminal.note("the full runs go over the same compiled pieces, for the weights are large");
    report::Comparison comparison = bout.run();

    const RunReport& report = comparison.reused.runs.back();
    const Image& first = comparison.full.images.front();
    if (animates)
        for (std::size_t i = 0; i < comparison.full.images.size(); ++i)
            comparison.captions.push_back(fmt::format("frame {}", i + 1));
    else
        for (const auto& prompt : prompts)
            for (int i = 0; i < o.prompts.images; ++i) comparison.captions.push_back(prompt);
    comparison.title = prompts.size() == 1 ? prompts.front() : fmt::format("{} prompts", prompts.size());
    comparison.settings = {
        {"model", model_name(o.model)},
        {"cache", cache_text(o.cache, session.config)},
        {"seed", fmt::format("{}", o.sampling.seed)},
        {"size", fmt::format("{}x{}", first.width(), first.height())},
        {"scheduler", report.scheduler},
        {"precision", report.precision},
        {"guidance", fmt::format("{}, {}", bout.guidance(), report::name_of(report.guidance_mode))},
        {"engine", fmt::format("{} on {}, {} threads", o.model.backend, o.model.device,
                               o.model.threads == 0 ? "all" : fmt::format("{}", o.model.threads))},
        {"runs", fmt::format("{} of each, by turns, after one to warm up", o.runs)},
        {"version", REPRISE_VERSION}};
    Outputs files;
    write(where, comparison, files);

    context.terminal.note(comparison.summary);
    if (o.output.json) {
        auto json = report::to_json(comparison);
        json[animates ? "image" : "prompts"] = prompts;
        json["memory"] = to_json(memory);
        json["files"] = files.names();
        print(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
        return;
    }
    std::string text = report::to_text(comparison) + "\n";
    for (const auto& name : files.names()) text += name + "\n";
    print(text);
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "compare", "Draw the same picture in full, reused, and with fewer steps in the time of the reused");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    add_animation_options(*command, options->animation, Picture::optional);
    add_sampling_options(*command, options->sampling);
    add_cache_options(*command, options->cache);
    command->add_option("--runs", options->runs, "Measured runs of each way, by turns, after one to warm up")
        ->group("Comparison")
        ->check(at_least(1))
        ->capture_default_str();
    command
        ->add_option("--fewer-steps", options->fewer,
                     "Steps of the third way; 0: as many as take no less time than the reused way")
        ->group("Comparison")
        ->check(at_least(0))
        ->capture_default_str();
    command
        ->add_option("--out", options->out,
                     "Folder for pictures and a page, or a .png, beside which the page is put")
        ->group("Output")
        ->type_name("FOLDER|FILE.png")
        ->capture_default_str();
    add_output_options(*command, options->output);
    command->footer(
        "\nTimes are the middle of the runs; PSNR, SSIM and the latents' distance are from the full result.\n"
        "\nExamples:\n"
        "  reprise compare --model models/emoji-sdxl --prompt rocket --steps 20 --out rocket\n"
        "  reprise compare --model sdxl --prompts-file prompts.txt --cache mine.json --out sheet.png\n"
        "  reprise compare --model svd --image boat.jpg --steps 25 --out boat");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app

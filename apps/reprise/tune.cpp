#include "reprise/tune.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "commands.h"
#include "interrupt.h"
#include "outputs.h"
#include "report/text.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace {

struct Options {
    ModelOptions model;
    PromptOptions prompts;
    AnimationOptions animation;
    SamplingOptions sampling;
    OutputOptions output;
    std::vector<double> speedups;
    std::string quality, out = "tuned-{speedup}.json", state;
    int pairs = 6, trials = 200;
    double minutes = 0;
};

/// "ssim=0.95", "psnr=35" or both with a comma.
tune::Quality quality(const std::string& text) {
    tune::Quality result;
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view one = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), one.size() + 1));
        const auto equals = one.find('=');
        double value = 0;
        const bool known = one.starts_with("ssim=") || one.starts_with("psnr=");
        if (!known || !CLI::detail::lexical_cast(std::string(one.substr(equals + 1)), value) || !(value > 0))
            usage_error("--quality {}: expected ssim=0.95, psnr=35, or both with a comma", text);
        (one.starts_with("ssim=") ? result.ssim : result.psnr) = value;
    }
    if (result.ssim >= 1) usage_error("--quality {}: SSIM is 1 for equal pictures only; expected less", text);
    return result;
}

/// What the search does, on one line of a terminal; elsewhere a line now and then.
class Ticker {
  public:
    explicit Ticker(Terminal& terminal) : terminal_(terminal) {}
    bool operator()(std::string_view what) {
        const auto now = std::chrono::steady_clock::now();
        const auto pause = std::chrono::milliseconds(terminal_.interactive() ? 100 : 15'000);
        if (!what.empty() && now - last_ >= pause) {
            terminal_.phase(what);
            last_ = now;
        }
        return !interrupted();
    }

  private:
    Terminal& terminal_;
    std::chrono::steady_clock::time_point last_;
};

std::string path_for(const std::string& pattern, double speedup) {
    std::string path = pattern;
    const std::string mark = "{speedup}";
    const std::string number = fmt::format("{:g}", speedup);
    for (auto at = path.find(mark); at != std::string::npos; at = path.find(mark, at + number.size()))
        path.replace(at, mark.size(), number);
    return path;
}

std::string table(const std::vector<tune::Tuned>& all) {
    using Align = report::Table::Align;
    report::Table table({{"speedup"},
                         {"predicted", Align::right},
                         {"measured", Align::right},
                         {"off by", Align::right},
                         {"distance", Align::right},
                         {"held out", Align::right},
                         {"SSIM", Align::right},
                         {"PSNR", Align::right}});
    for (const auto& one : all) {
        const auto& figures = one.evidence.figures;
        table.add({fmt::format("{:g}", one.speedup), fmt::format("{:.2f}", figures.at("predicted_speedup")),
                   fmt::format("{:.2f}", figures.at("measured_speedup")),
                   fmt::format("{:+.1f} %", 100 * figures.at("prediction_error")),
                   fmt::format("{:.4f}", figures.at("distance")),
                   fmt::format("{:.4f}", figures.at("distance_held_out")),
                   fmt::format("{:.3f}", figures.at("ssim_held_out")),
                   fmt::format("{:.1f}", figures.at("psnr_held_out"))});
    }
    std::string text = table.text();
    for (const auto& one : all)
        text += fmt::format("\n{:g}x: {}\n", one.speedup, one.evidence.notes.at("steps"));
    return text;
}

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    tune::TuneOptions options;
    options.quality = quality(o.quality);
    options.speedups = o.speedups.empty() && !options.quality.asked() ? std::vector{2.0} : o.speedups;
    if (options.speedups.size() > 1 && o.out.find("{speedup}") == std::string::npos)
        usage_error("--out {}: several speedups need {{speedup}} in the name", o.out);
    std::set<std::string> names;
    for (const double speedup : options.speedups)
        if (!names.insert(path_for(o.out, speedup)).second)
            usage_error("--speedup: {:g} is given twice", speedup);
    if (names.empty()) names.insert(path_for(o.out, 1));
    for (const std::string& name : names) check_writable(name);
    if (!o.state.empty()) check_writable(o.state);
    options.generate = o.sampling.generate_options();
    auto subjects = apply_what_to_draw(o.prompts, o.animation, options.generate);
    options.prompts = std::move(subjects.prompts);
    options.images = std::move(subjects.images);
    options.pairs = static_cast<std::size_t>(o.pairs);
    options.trials = static_cast<std::size_t>(o.trials);
    options.minutes = o.minutes;
    options.seed = o.sampling.seed();
    options.state = o.state;
    options.progress = Ticker(context.terminal);

    Session session(context, o.model.kept());
    std::vector<tune::Tuned> all;
    try {
        all = tune::tune(session.pipe, options);
    } catch (const Error& error) {
        context.terminal.end();
        if (error.kind() == ErrorKind::cancelled && std::filesystem::exists(o.state))
            context.terminal.note("what was measured is in " + o.state +
                                  "; the same command goes on from there");
        throw;
    }
    context.terminal.end();

    Outputs files;
    auto json = nlohmann::ordered_json::array();
    for (const auto& one : all) {
        const std::string text = cachify::to_json(one.config, one.evidence);
        files.add(path_for(o.out, one.speedup), text);
        json.push_back(nlohmann::ordered_json::parse(text)["evidence"]);
    }
    files.commit();
    if (o.output.json) {
        print(json_text(json));
        return;
    }
    print(table(all) + "\n" + lines(files.names()));
}

}  // namespace

void add_tune(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("tune", "Find the reuse that keeps most of the picture at a speed, for one model");
    add_model_options(*command, options->model);
    add_prompt_options(*command, options->prompts);
    add_animation_options(*command, options->animation, Picture::several);
    add_sampling_options(*command, options->sampling);
    const auto group = [](CLI::Option* option) { return option->group("Tuning"); };
    auto* speedup =
        group(command->add_option("--speedup", options->speedups,
                                  "Of the denoiser's steps; several make several files (default: 2)"))
            ->delimiter(',')
            ->type_name("FLOAT,...");
    group(command->add_option("--quality", options->quality,
                              "Instead: the fastest whose pictures are so near to the full ones"))
        ->excludes(speedup)
        ->type_name("ssim=X|psnr=X");
    group(
        command->add_option("--pairs", options->pairs,
                            "Prompts with seeds that it tunes on; as many again are held out for the check"))
        ->check(at_least(1))
        ->capture_default_str();
    group(command->add_option("--trials", options->trials, "Schedules that are run for each speedup"))
        ->check(at_least(0))
        ->capture_default_str();
    group(command->add_option("--minutes", options->minutes,
                              "After so many no more schedules are tried; 0: as many as --trials says"))
        ->capture_default_str();
    group(command->add_option("--state", options->state,
                              "What was measured is kept here; there already, it goes on from it"))
        ->type_name("FILE.json");
    command
        ->add_option(
            "--out", options->out,
            "The configurations, for --cache; in a model's folder reprise/ they are what --cache auto takes")
        ->group("Output")
        ->type_name("FILE.json")
        ->capture_default_str();
    add_output_options(*command, options->output,
                       "A JSON array, with what was measured of each configuration,");
    command->footer(
        "\nDistances are of final latents from the full result, relative, means over prompts and seeds. "
        "Without "
        "prompts it takes generic ones.\n"
        "\nExamples:\n"
        "  reprise tune --model models/emoji-sdxl --speedup 2,3 --out "
        "'models/emoji-sdxl/reprise/tuned-{speedup}.json'\n"
        "  reprise tune --model sdxl --quality ssim=0.95 --steps 30 --prompts-file mine.txt --state "
        "tuning.json "
        "--out mine.json");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app

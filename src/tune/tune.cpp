#include "reprise/tune.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/checks.h"
#include "core/fingerprint.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "media/metrics.h"
#include "options/row.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "text/unicode.h"
#include "tune/ladder.h"
#include "tune/mode_choice.h"
#include "tune/pipeline_runner.h"
#include "tune/search.h"
#include "tune/state.h"

namespace reprise::tune {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kEqual = 99;  // dB, for pictures that are the same
/// Beyond this many bytes of weights nothing is compiled that does not have to be.
constexpr double kSmallBytes = 3e8;
/// Each full step that is timed stands beside one in a mode, after the first two.
constexpr int kLeastSteps = 4;

/// What a state's measurements depend on beside its run: texts, pictures, sampling, and what computes.
std::string fingerprint_of(const TuneOptions& options, const GenerateOptions& base, const LoadOptions& load) {
    Fingerprint all;
    const auto add = [&](const auto& value) { all.add(fmt::format("{}\n", value)); };
    add(text_of(options::write(options::generate_options(), &base, options::kFingerprint)));
    add(text_of(options::write(options::load_options(), &load, options::kFingerprint)));
    const auto add_image = [&](const Image& image) {
        add(image.width());
        all.add(image.pixels().data(), image.pixels().size());
    };
    add_image(base.image);
    for (const Image& image : options.images) add_image(image);
    return all.text();
}

/// Prompts with seeds: those that are tuned on, then those held out.
std::vector<GenerateOptions> make_pairs(const TuneOptions& options, const GenerateOptions& base,
                                        bool from_pictures) {
    const auto& prompts = options.prompts.empty() ? default_prompts() : options.prompts;
    std::vector<GenerateOptions> pairs;
    for (std::size_t i = 0; i < 2 * options.pairs; ++i) {
        GenerateOptions pair = base;
        if (!from_pictures) pair.prompt = valid_utf8(prompts[i % prompts.size()]);
        if (!options.images.empty()) pair.image = options.images[i % options.images.size()];
        pair.seed = options.seed + i;
        pair.decode = false;
        pairs.push_back(std::move(pair));
    }
    return pairs;
}

class Tuner {
  public:
    Tuner(Pipeline& pipe, const TuneOptions& options)
        : pipe_(pipe.implementation()), o_(options), base_(pipe_.with_defaults(options.generate)) {
        check();
        base_.decode = false;
        base_.callback_on_step_end = [this](const StepInfo&) { return !o_.progress || o_.progress(""); };
        base_.on_phase = [this](std::string_view phase) { say(phase); };
        const bool from_pictures = pipe_.denoiser().model().traits().frames > 0;
        pairs_ = make_pairs(o_, base_, from_pictures);
        const auto ahead = pipe_.outlook(pairs_.front());
        if (ahead.evaluations.back().step + 1 < kLeastSteps)
            usage_error("{} steps; tuning needs at least {}, to time full steps beside others",
                        ahead.evaluations.back().step + 1, kLeastSteps);
        guidance_ = ahead.shape.guidance;
        graph_ = pipe_.denoiser().structure(ahead.shape);
        small_ = static_cast<double>(parameter_count(graph_, 0)) *
                     static_cast<double>(size_of(pipe_.engine().options.precision)) <=
                 kSmallBytes;
        state_.model = pipe_.identity();
        state_.run = {"",
                      ahead.evaluations.back().step + 1,
                      static_cast<int>(ahead.shape.width),
                      static_cast<int>(ahead.shape.height),
                      *base_.guidance_scale,
                      std::string(name_of(pipe_.engine().options.precision)),
                      {},
                      {}};
        state_.others = fingerprint_of(o_, base_, pipe_.load_options());
        for (std::size_t i = 0; i < o_.pairs; ++i) {
            state_.run.prompts.push_back(pairs_[i].prompt);
            state_.run.seeds.push_back(pairs_[i].seed);
        }
    }

    std::vector<Tuned> run() {
        begin_ = Clock::now();
        say("encode prompts");
        PipelineRunner runner(
            pipe_, std::vector<GenerateOptions>(pairs_.begin(),
                                                pairs_.begin() + static_cast<std::ptrdiff_t>(o_.pairs)));
        state_.run.scheduler = runner.scheduler_name();
        load();
        try {
            return tuned(runner);
        } catch (...) {
            save();
            throw;
        }
    }

  private:
    void check() const {
        if (o_.pairs < 1) usage_error("no prompts with seeds to tune on; expected at least 1");
        if (o_.speedups.empty() && !o_.quality.asked())
            usage_error("neither speedup nor quality is asked for");
        for (const double speedup : o_.speedups)
            if (!(speedup >= 1 && std::isfinite(speedup)))
                usage_error("a speedup of {} is asked for; expected at least 1", speedup);
        if (!(o_.quality.ssim >= 0 && o_.quality.ssim < 1))
            usage_error("an SSIM of {} is asked for; expected less than 1, which only equal pictures have",
                        o_.quality.ssim);
        if (!(o_.quality.psnr >= 0 && o_.quality.psnr <= kEqual))
            usage_error("a PSNR of {} dB is asked for; expected 0 to {}", o_.quality.psnr, kEqual);
        check_number("minutes", o_.minutes);
        if (o_.minutes < 0) usage_error("{} minutes; expected 0 or more", o_.minutes);
        if (base_.num_images_per_prompt != 1)
            usage_error("{} images per prompt; tuning draws one for each pair", base_.num_images_per_prompt);
    }

    cachify::PolicyContext context() const { return {pipe_.denoiser().class_name(), graph_}; }

    void say(std::string_view what) const {
        if (o_.progress && !o_.progress(what)) throw Error(ErrorKind::cancelled, "stopped while tuning");
    }

    void load() {
        std::error_code ignored;
        if (o_.state.empty() || !std::filesystem::exists(o_.state, ignored)) return;
        State found = parse_state(read_text_file(o_.state, kMostStateBytes), o_.state.string());
        if (found.model != state_.model)
            usage_error("{}: it was measured on another denoiser ({}, configuration {}, weights {})",
                        o_.state.string(), found.model.class_name, found.model.config, found.model.weights);
        if (found.run != state_.run || found.others != state_.others)
            usage_error(
                "{}: it was measured with other settings ({}, {} steps, guidance {}, {} prompts; or other "
                "pictures, texts, sampling or threads); give the same or another --state",
                o_.state.string(), found.run.scheduler, found.run.num_inference_steps,
                found.run.guidance_scale, found.run.prompts.size());
        state_ = std::move(found);
    }
    void save() {
        if (!o_.state.empty() && !state_.ladder.empty()) write_file(o_.state, to_json(state_));
        saved_ = Clock::now();
    }

    /// On how many of the pairs modes are tried and blocks measured.
    std::size_t trial_pairs() const { return std::min<std::size_t>(2, o_.pairs); }
    /// Whether the halves of guidance may be one batch.
    bool may_batch() const { return base_.guidance_mode != GuidanceMode::split; }

    /// The state's choices and table, made where it has none.
    void choose_modes(PipelineRunner& runner) {
        if (state_.record.table.size() > 0) return;
        ModeChoice choice({context(), guidance_, may_batch(), small_, trial_pairs()}, runner,
                          [this](std::string_view what) { say(what); });
        if (state_.ladder.empty()) {
            state_.ladder = to_string(choice.choose());
            save();
        }
        state_.record.table = choice.table(make_ladder(context(), choices(), guidance_));
        save();
    }

    Choices choices() const {
        Choices choices;
        if (!parse_choices(state_.ladder, context(), choices))
            usage_error("{}: its ladder is '{}', which is none of this version's", o_.state.string(),
                        state_.ladder);
        return choices;
    }

    /// The ladder of the state, with the rungs that its table has.
    std::vector<Rung> ladder() const {
        const auto& names = state_.record.table.names;
        std::vector<Rung> result;
        for (Rung& rung : make_ladder(context(), choices(), guidance_))
            if (result.size() < names.size() && rung.name == names[result.size()])
                result.push_back(std::move(rung));
        if (result.size() != names.size())
            usage_error("{}: its modes are none of this version's", o_.state.string());
        return result;
    }

    bool on_progress(const Progress& where, double speedup) {
        if (seconds_since(saved_) > kSaveEvery) save();
        std::string text;
        switch (where.stage) {
            case Progress::Stage::blocks:
                text = fmt::format("measure {} of {}", where.done + 1, where.of);
                break;
            case Progress::Stage::candidates:
                text = fmt::format("{:g}x, candidate {} of {}", speedup, where.done + 1, where.of);
                break;
            case Progress::Stage::changes:
                text = fmt::format("{:g}x, change {} of {}", speedup, where.done + 1, where.of);
                break;
            case Progress::Stage::trials:
                text = fmt::format("{:g}x, trial {} of {}", speedup, where.done + 1, where.of);
        }
        if (where.best >= 0) text += fmt::format(", distance {:.4f}", where.best);
        return !o_.progress || o_.progress(text);
    }

    static double seconds_since(Clock::time_point begin) { return pipelines::seconds_since(begin); }

    Found found(PipelineRunner& runner, double speedup, double share_of_time) {
        SearchOptions options;
        options.speedup = speedup;
        options.trials = o_.trials;
        options.block_pairs = trial_pairs();
        options.seed = o_.seed;
        const auto begin = Clock::now();
        const double left = o_.minutes * 60 - seconds_since(begin_);
        if (o_.minutes > 0)
            options.enough = [begin, left, share_of_time] {
                return seconds_since(begin) > left * share_of_time;
            };
        return search(runner, state_.record, options,
                      [&](const Progress& where) { return on_progress(where, speedup); });
    }

    /// How far a schedule is from the full result, as means over a runner's pairs.
    struct Seen {
        double distance = 0, ssim = 0, psnr = 0;
    };
    /// The full pictures are decoded once.
    class Eye {
      public:
        Eye(pipelines::DiffusionPipeline& pipe, const GenerateOptions& options, PipelineRunner& runner)
            : pipe_(pipe), options_(options), runner_(runner), full_(runner.num_pairs()) {}

        Seen operator()(const Modes& modes) {
            Seen mean;
            const auto share = 1 / static_cast<double>(full_.size());
            for (std::size_t pair = 0; pair < full_.size(); ++pair) {
                const Tensor& wanted = runner_.full_latents(pair);
                const Tensor latents = runner_.latents(pair, modes);
                if (full_[pair].empty()) full_[pair] = pipe_.decode(wanted, options_);
                const auto reused = pipe_.decode(latents, options_);
                mean.distance += share * relative_error(latents, wanted);
                const auto of_one = share / static_cast<double>(reused.size());
                for (std::size_t frame = 0; frame < reused.size(); ++frame) {
                    mean.ssim += of_one * ssim(reused[frame], full_[pair][frame]);
                    mean.psnr += of_one * std::min(kEqual, psnr(reused[frame], full_[pair][frame]));
                }
            }
            return mean;
        }

      private:
        pipelines::DiffusionPipeline& pipe_;
        const GenerateOptions& options_;
        PipelineRunner& runner_;
        std::vector<std::vector<Image>> full_;  ///< by pair, frame by frame
    };

    std::vector<Tuned> tuned(PipelineRunner& runner) {
        choose_modes(runner);
        const auto rungs = ladder();
        for (const double speedup : o_.quality.asked() ? std::vector<double>{} : o_.speedups)
            check_speedup(state_.record.table, runner.num_steps(), speedup);
        const bool halves =
            std::any_of(rungs.begin(), rungs.end(), [](const Rung& rung) { return rung.two_passes; });
        const GuidanceMode guidance =
            guidance_ && (halves || !may_batch()) ? GuidanceMode::split : GuidanceMode::batched;
        runner.use(configs_of(rungs), guidance, o_.pairs);

        std::vector<std::pair<double, Found>> results;
        if (o_.quality.asked())
            results.push_back(fastest(runner));
        else
            for (std::size_t i = 0; i < o_.speedups.size(); ++i)
                results.emplace_back(
                    o_.speedups[i],
                    found(runner, o_.speedups[i], 1.0 / static_cast<double>(o_.speedups.size() - i)));
        save();

        std::vector<Tuned> all;
        {
            say("check on pairs held out");
            PipelineRunner held_out(
                pipe_, std::vector<GenerateOptions>(pairs_.begin() + static_cast<std::ptrdiff_t>(o_.pairs),
                                                    pairs_.end()));
            held_out.use(configs_of(rungs), guidance, o_.pairs);
            Eye unseen(pipe_, base_, held_out);
            for (const auto& [speedup, result] : results)
                all.push_back(describe(unseen(result.modes), rungs, speedup, result));
        }
        runner.release();  // a large model fits in memory once
        for (Tuned& one : all) {
            auto& figures = one.evidence.figures;
            figures["measured_speedup"] = measured(one.config);
            figures["prediction_error"] = figures["predicted_speedup"] / figures["measured_speedup"] - 1;
        }
        return all;
    }

    /// The fastest of some speeds that reaches the quality, by halving.
    std::pair<double, Found> fastest(PipelineRunner& runner) {
        std::vector<double> speeds = {1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4};
        const double most = most_speedup(state_.record.table, runner.num_steps());
        std::erase_if(speeds, [most](double speed) { return speed > most; });
        if (speeds.empty()) check_speedup(state_.record.table, runner.num_steps(), 1.25);
        Eye seen(pipe_, base_, runner);
        std::optional<std::pair<double, Found>> best;
        std::size_t low = 0, high = speeds.size();
        while (low < high) {
            const std::size_t middle = (low + high) / 2;
            const Found result = found(runner, speeds[middle], 0.25);
            const Seen reached = seen(result.modes);
            spdlog::debug("{:g}x: SSIM {:.3f}, PSNR {:.1f} dB", speeds[middle], reached.ssim, reached.psnr);
            if (reached.ssim >= o_.quality.ssim && reached.psnr >= o_.quality.psnr) {
                best = {speeds[middle], result};
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (!best)
            usage_error("even {:g} times as fast the quality asked for is not reached; ask for less",
                        speeds.front());
        return *best;
    }

    Tuned describe(const Seen& held_out, const std::vector<Rung>& rungs, double speedup,
                   const Found& result) const {
        Tuned tuned;
        tuned.speedup = speedup;
        tuned.config = config_of(graph_, rungs, result.modes);
        tuned.evidence.model = state_.model;
        tuned.evidence.run = state_.run;
        auto& figures = tuned.evidence.figures;
        figures["speedup"] = speedup;
        figures["predicted_speedup"] = state_.record.table.full_cost(result.modes.size()) / result.seconds;
        figures["distance"] = result.distance;
        figures["distance_before_local_search"] = result.by_model;
        figures["distance_held_out"] = held_out.distance;
        figures["ssim_held_out"] = held_out.ssim;
        figures["psnr_held_out"] = held_out.psnr;
        figures["trials"] = static_cast<double>(o_.trials);
        if (result.predicted >= 0) figures["distance_by_blocks"] = result.predicted;
        std::string schedule;
        for (const int mode : result.modes)
            schedule +=
                (schedule.empty() ? "" : "; ") + state_.record.table.names[static_cast<std::size_t>(mode)];
        tuned.evidence.notes = {{"made by", "reprise tune"},
                                {"steps", schedule},
                                {"kept", state_.ladder},
                                {"search seed", fmt::format("{}", o_.seed)}};
        return tuned;
    }

    /// Of the denoiser's steps, by turns with the full ones.
    double measured(const cachify::Config& config) {
        constexpr int kRuns = 4;
        GenerateOptions as_full = pairs_.front(), as_reused = pairs_.front();
        as_full.reuse = Reuse();
        as_reused.reuse = Reuse(config);
        if (!small_) {  // the full run goes over the same pieces, so that weights are compiled once
            as_full.reuse = Reuse(config);
            as_full.reuse->in_full = true;
        }
        std::vector<double> full, reused;
        for (int run = 0; run <= kRuns; ++run) {
            say("measure speed");
            const double a = pipe_(as_full).report.denoise_seconds;
            const double b = pipe_(as_reused).report.denoise_seconds;
            if (run == 0) continue;  // compiles
            full.push_back(a);
            reused.push_back(b);
        }
        return *std::min_element(full.begin(), full.end()) / *std::min_element(reused.begin(), reused.end());
    }

    static constexpr std::size_t kMostStateBytes = std::size_t{256} << 20U;
    static constexpr double kSaveEvery = 20;  ///< seconds

    pipelines::DiffusionPipeline& pipe_;
    const TuneOptions& o_;
    GenerateOptions base_;
    std::vector<GenerateOptions> pairs_;
    bool guidance_ = false, small_ = true;
    graph::Graph graph_;
    State state_;
    Clock::time_point begin_, saved_ = Clock::now();
};

}  // namespace

std::vector<Tuned> tune(Pipeline& pipe, const TuneOptions& options) {
    return Tuner(pipe, options).run();
}

}  // namespace reprise::tune

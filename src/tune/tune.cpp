#include "reprise/tune.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "io/atomic_file.h"
#include "io/json.h"
#include "io/metrics.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "tune/ladder.h"
#include "tune/pipeline_runner.h"
#include "tune/search.h"
#include "tune/state.h"

namespace reprise::tune {

namespace {

using Clock = std::chrono::steady_clock;

/// Beyond this many bytes of weights nothing is compiled that does not have to be.
constexpr double kSmallBytes = 3e8;
/// A mode that saves less than this share of a full step is left out.
constexpr double kLeastSaving = 0.15;

double lower_quartile(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.at(values.size() / 4);
}

/// Prompts with seeds: those that are tuned on, then those held out.
std::vector<GenerateOptions> make_pairs(const TuneOptions& options, const GenerateOptions& base,
                                        bool from_pictures) {
    const auto& prompts = options.prompts.empty() ? default_prompts() : options.prompts;
    std::vector<GenerateOptions> pairs;
    for (std::size_t i = 0; i < 2 * options.pairs; ++i) {
        GenerateOptions pair = base;
        if (!from_pictures) pair.prompt = prompts[i % prompts.size()];
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
        if (o_.pairs < 1) usage_error("no prompts with seeds to tune on; expected at least 1");
        if (o_.speedups.empty() && !o_.quality.asked())
            usage_error("neither speedup nor quality is asked for");
        base_.decode = false;
        base_.callback_on_step_end = [this](const StepInfo&) { return !o_.progress || o_.progress(""); };
        base_.on_phase = [this](std::string_view phase) { say(phase); };
        const bool from_pictures = pipe_.denoiser().model().traits().frames > 0;
        pairs_ = make_pairs(o_, base_, from_pictures);
        const auto ahead = pipe_.outlook(pairs_.front());
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
        if (found.run != state_.run)
            usage_error(
                "{}: it was measured with other settings ({}, {} steps, guidance {}, {} prompts); give the "
                "same "
                "or another --state",
                o_.state.string(), found.run.scheduler, found.run.num_inference_steps,
                found.run.guidance_scale, found.run.prompts.size());
        state_ = std::move(found);
    }
    void save() {
        if (!o_.state.empty() && !state_.ladder.empty()) write_file(o_.state, to_json(state_));
        saved_ = Clock::now();
    }

    /// Which store rules suit the model: the nearest to the full result where every second step and where two
    /// of three are reused.
    cachify::Store nearest(PipelineRunner& runner, const std::vector<cachify::Store>& stores,
                           const std::function<Rung(const cachify::Store&)>& rung) {
        if (!small_) return stores.front();
        cachify::Store best = stores.front();
        double least = -1;
        for (const auto& store : stores) {
            const Rung tried = rung(store);
            say(fmt::format("try {} kept as {}", tried.name, to_string(store)));
            runner.use({{}, tried.config}, way(tried), trial_pairs());
            const double distance = at_intervals(runner, 1);
            spdlog::debug("{} kept as {}: distance {:.4f}", tried.name, to_string(store), distance);
            if (least < 0 || distance < least) {
                least = distance;
                best = store;
            }
        }
        return best;
    }

    /// On how many of the pairs modes are tried and blocks measured.
    std::size_t trial_pairs() const { return std::min<std::size_t>(2, o_.pairs); }

    /// The mean distance of two schedules that run every second step in a mode, and two of three.
    double at_intervals(PipelineRunner& runner, int mode) const {
        double sum = 0;
        for (const std::size_t interval : {2U, 3U}) {
            Modes modes(runner.num_steps(), mode);
            for (std::size_t step = 0; step < modes.size(); ++step)
                if (step < 2 || step % interval == 0) modes[step] = 0;
            for (std::size_t pair = 0; pair < trial_pairs(); ++pair) sum += runner.distance(pair, modes);
        }
        return sum / static_cast<double>(2 * trial_pairs());
    }

    /// How a rung is run where it is measured.
    GuidanceMode way(const Rung& rung) const {
        if (!guidance_) return GuidanceMode::batched;
        return rung.two_passes || !small_ || !may_batch() ? GuidanceMode::split : GuidanceMode::batched;
    }
    /// Whether the halves of guidance may be one batch.
    bool may_batch() const { return base_.guidance_mode != GuidanceMode::split; }

    Choices choose(PipelineRunner& runner) {
        Choices choices{path_stores(context()).front(), whole_stores().front(), guidance_stores().front()};
        const auto best = [&](cachify::Store Choices::*part, const std::vector<cachify::Store>& stores,
                              std::string_view name) {
            choices.*part = nearest(runner, stores, [&](const cachify::Store& store) {
                Choices with = choices;
                with.*part = store;
                const auto ladder = make_ladder(context(), with, guidance_);
                return *std::find_if(ladder.begin(), ladder.end(),
                                     [&](const Rung& rung) { return rung.name.starts_with(name); });
            });
        };
        best(&Choices::path, path_stores(context()), "path");
        best(&Choices::whole, whole_stores(), "whole");
        if (guidance_) best(&Choices::guidance, guidance_stores(), "half");
        choices.order = order_of_blocks(runner, choices.path);
        return choices;
    }

    /// A small transformer's blocks, from the one whose reuse alone moves the result least.
    std::vector<int> order_of_blocks(PipelineRunner& runner, const cachify::Store& store) {
        const std::vector<Rung> rungs = single_blocks(context(), store);
        if (rungs.empty() || !small_) return {};
        std::vector<cachify::Config> modes = {{}};
        for (const Rung& rung : rungs) modes.push_back(rung.config);
        runner.use(modes, way(rungs.front()), trial_pairs());
        std::vector<std::pair<double, int>> moved;
        for (std::size_t block = 0; block < rungs.size(); ++block) {
            say(fmt::format("try {}", rungs[block].name));
            moved.emplace_back(at_intervals(runner, static_cast<int>(block) + 1), static_cast<int>(block));
            spdlog::debug("{}: distance {:.4f}", rungs[block].name, moved.back().first);
        }
        std::sort(moved.begin(), moved.end());
        std::vector<int> order;
        for (const auto& [distance, block] : moved) order.push_back(block);
        return order;
    }

    /// What a step of each rung takes, next to a full step of the same compiled pieces; the full step of all.
    /// Of small models each rung is compiled by itself, as a configuration with few modes is.
    std::vector<double> seconds(PipelineRunner& runner, const std::vector<Rung>& ladder,
                                GuidanceMode guidance) {
        constexpr int kPasses = 4;
        std::vector<double> full;
        std::vector<std::vector<double>> mine(ladder.size()), own_full(ladder.size());
        if (!small_) runner.use(configs(ladder), guidance, 1);
        for (std::size_t rung = 1; rung < ladder.size(); ++rung) {
            if (guidance == GuidanceMode::batched && ladder[rung].two_passes) continue;
            say(fmt::format("time {}", ladder[rung].name));
            if (small_) runner.use({{}, ladder[rung].config}, guidance, 1);
            const int mode = small_ ? 1 : static_cast<int>(rung);
            std::vector<double> warm_full, warm;
            runner.time(mode, warm_full, warm);
            for (int pass = 0; pass < kPasses; ++pass) runner.time(mode, own_full[rung], mine[rung]);
            full.insert(full.end(), own_full[rung].begin(), own_full[rung].end());
        }
        const double all = lower_quartile(full);
        std::vector<double> result = {all};
        for (std::size_t rung = 1; rung < ladder.size(); ++rung)
            result.push_back(
                mine[rung].empty() ? -1 : all * lower_quartile(mine[rung]) / lower_quartile(own_full[rung]));
        return result;
    }

    static std::vector<cachify::Config> configs(const std::vector<Rung>& ladder) {
        std::vector<cachify::Config> result;
        for (const Rung& rung : ladder) result.push_back(rung.config);
        return result;
    }

    void measure_table(PipelineRunner& runner, std::vector<Rung> ladder) {
        ModeTable table;
        table.seconds = seconds(runner, ladder, guidance_ ? GuidanceMode::split : GuidanceMode::batched);
        if (guidance_ && small_ && may_batch())
            table.batched_seconds = seconds(runner, ladder, GuidanceMode::batched);
        for (const Rung& rung : ladder) table.names.push_back(rung.name);
        state_.record.table = std::move(table);
        drop_poor(runner, std::move(ladder));
    }

    /// Leaves out modes that save little, and those that another beats in cost and in distance from the full
    /// result where every second step and where two of three are reused.
    void drop_poor(PipelineRunner& runner, std::vector<Rung> ladder) {
        ModeTable& table = state_.record.table;
        const auto cost = [&](std::size_t rung) { return table.cost({static_cast<int>(rung)}); };
        const auto drop = [&](std::size_t rung) {
            const auto at = static_cast<std::ptrdiff_t>(rung);
            spdlog::debug("{} is left out", table.names[rung]);
            ladder.erase(ladder.begin() + at);
            table.names.erase(table.names.begin() + at);
            table.seconds.erase(table.seconds.begin() + at);
            if (!table.batched_seconds.empty())
                table.batched_seconds.erase(table.batched_seconds.begin() + at);
        };
        for (std::size_t rung = table.size(); rung-- > 1;)
            if (cost(rung) > (1 - kLeastSaving) * table.full_cost(1)) drop(rung);

        runner.use(configs(ladder), guidance_ ? GuidanceMode::split : GuidanceMode::batched, trial_pairs());
        std::vector<double> distances = {0};
        for (std::size_t rung = 1; rung < ladder.size(); ++rung) {
            say(fmt::format("try {}", ladder[rung].name));
            distances.push_back(at_intervals(runner, static_cast<int>(rung)));
            spdlog::debug("{}: {:.1f} % of the time, distance {:.4f}", ladder[rung].name,
                          100 * cost(rung) / table.full_cost(1), distances.back());
        }
        for (std::size_t rung = table.size(); rung-- > 1;)
            for (std::size_t other = 1; other < table.size(); ++other)
                if (other != rung && cost(other) <= cost(rung) && distances[other] < distances[rung]) {
                    drop(rung);
                    distances.erase(distances.begin() + static_cast<std::ptrdiff_t>(rung));
                    break;
                }
    }

    /// The ladder of the state, with the rungs that its table has.
    std::vector<Rung> ladder() const {
        Choices choices;
        if (!parse_choices(state_.ladder, context(), choices))
            usage_error("{}: its ladder is '{}', which is none of this version's", o_.state.string(),
                        state_.ladder);
        std::vector<Rung> result;
        for (Rung& rung : make_ladder(context(), choices, guidance_))
            if (std::find(state_.record.table.names.begin(), state_.record.table.names.end(), rung.name) !=
                state_.record.table.names.end())
                result.push_back(std::move(rung));
        if (result.size() != state_.record.table.size())
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
        options.model_pairs = trial_pairs();
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
                if (full_[pair].empty()) full_[pair] = first_picture(wanted);
                const Image reused = first_picture(latents);
                constexpr double kEqual = 99;  // dB, for pictures that are the same
                mean.distance += share * relative_error(latents, wanted);
                mean.ssim += share * ssim(reused, full_[pair]);
                mean.psnr += share * std::min(kEqual, psnr(reused, full_[pair]));
            }
            return mean;
        }

      private:
        Image first_picture(const Tensor& latents) { return pipe_.decode(latents, options_).front(); }

        pipelines::DiffusionPipeline& pipe_;
        const GenerateOptions& options_;
        PipelineRunner& runner_;
        std::vector<Image> full_;
    };

    std::vector<Tuned> tuned(PipelineRunner& runner) {
        if (state_.record.table.size() == 0) {
            const Choices choices = choose(runner);
            measure_table(runner, make_ladder(context(), choices, guidance_));
            state_.ladder = to_string(choices);
            save();
        }
        const auto rungs = ladder();
        const bool halves =
            std::any_of(rungs.begin(), rungs.end(), [](const Rung& rung) { return rung.two_passes; });
        const GuidanceMode guidance =
            guidance_ && (halves || !may_batch()) ? GuidanceMode::split : GuidanceMode::batched;
        runner.use(configs(rungs), guidance, o_.pairs);

        std::vector<std::pair<double, Found>> results;
        if (o_.quality.asked())
            results.push_back(fastest(runner));
        else
            for (std::size_t i = 0; i < o_.speedups.size(); ++i)
                results.emplace_back(
                    o_.speedups[i],
                    found(runner, o_.speedups[i], 1.0 / static_cast<double>(o_.speedups.size() - i)));
        save();

        say("check on pairs held out");
        PipelineRunner held_out(
            pipe_, std::vector<GenerateOptions>(pairs_.begin() + static_cast<std::ptrdiff_t>(o_.pairs),
                                                pairs_.end()));
        held_out.use(configs(rungs), guidance, o_.pairs);
        Eye unseen(pipe_, base_, held_out);
        std::vector<Tuned> all;
        for (const auto& [speedup, result] : results)
            all.push_back(describe(unseen(result.modes), rungs, speedup, result));
        pipe_.denoiser().preparation.reset();
        for (Tuned& one : all) one.evidence.figures["measured_speedup"] = measured(one.config);
        return all;
    }

    /// The fastest of some speeds that reaches the quality, by halving.
    std::pair<double, Found> fastest(PipelineRunner& runner) {
        const std::vector<double> speeds = {1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4};
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
        figures["search_seed"] = static_cast<double>(o_.seed);
        figures["trials"] = static_cast<double>(o_.trials);
        if (result.predicted >= 0) figures["distance_by_blocks"] = result.predicted;
        std::string schedule;
        for (const int mode : result.modes)
            schedule +=
                (schedule.empty() ? "" : "; ") + state_.record.table.names[static_cast<std::size_t>(mode)];
        tuned.evidence.notes = {{"made by", "reprise tune"}, {"steps", schedule}, {"kept", state_.ladder}};
        return tuned;
    }

    /// Of the denoiser's steps, by turns with the full ones.
    double measured(const cachify::Config& config) {
        constexpr int kRuns = 4;
        auto& denoiser = pipe_.denoiser();
        GenerateOptions options = pairs_.front();
        std::vector<double> full, reused;
        for (int run = 0; run <= kRuns; ++run) {
            say("measure speed");
            // of large models the full run goes over the same pieces, so that weights are compiled once
            denoiser.preparation.reset();
            if (!small_) denoiser.preparation = pipelines::Preparation{config, cachify::Count::steps, false};
            const double a = pipe_(options).report.denoise_seconds;
            denoiser.preparation = pipelines::Preparation{config};
            const double b = pipe_(options).report.denoise_seconds;
            if (run == 0) continue;  // compiles
            full.push_back(a);
            reused.push_back(b);
        }
        denoiser.preparation.reset();
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
    auto& preparation = pipe.implementation().denoiser().preparation;
    const auto before = preparation;
    try {
        auto result = Tuner(pipe, options).run();
        preparation = before;
        return result;
    } catch (...) {
        preparation = before;
        throw;
    }
}

}  // namespace reprise::tune

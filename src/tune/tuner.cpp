#include "tune/tuner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "core/checks.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "reprise/error.h"
#include "tune/ladder.h"
#include "tune/mode_choice.h"
#include "tune/search.h"
#include "tune/state.h"

namespace reprise::tune {

namespace {

using Clock = std::chrono::steady_clock;

/// Each full step that is timed stands beside one in a mode, after the first two.
constexpr std::size_t kLeastSteps = 4;

class Tuner {
  public:
    Tuner(Subject& subject, const TuneOptions& options)
        : subject_(subject), o_(options), guidance_(subject.has_guidance()) {
        check_goals(o_);
        if (subject.num_steps() < kLeastSteps)
            usage_error("{} steps; tuning needs at least {}, to time full steps beside others",
                        subject.num_steps(), kLeastSteps);
        state_.model = subject.identity();
        state_.run = subject.run();
        state_.others = subject.fingerprint();
    }

    std::vector<Tuned> run() {
        begin_ = Clock::now();
        load();
        try {
            return tuned();
        } catch (...) {
            save();
            throw;
        }
    }

  private:
    cachify::PolicyContext context() const { return {subject_.class_name(), subject_.structure()}; }

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
    std::size_t trial_pairs() const { return std::min<std::size_t>(2, subject_.num_pairs()); }

    /// The state's choices and table, made where it has none.
    void choose_modes() {
        if (state_.record.table.size() > 0) return;
        ModeChoice choice({context(), trial_pairs()}, subject_, [this](std::string_view what) { say(what); });
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

    static double seconds_since(Clock::time_point begin) {
        return std::chrono::duration<double>(Clock::now() - begin).count();
    }

    Found found(double speedup, double share_of_time) {
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
        return search(subject_, state_.record, options,
                      [&](const Progress& where) { return on_progress(where, speedup); });
    }

    /// How far a schedule is from the full result, as means over pairs.
    Likeness likeness(const Modes& modes, Subject::Pairs which) {
        Likeness mean;
        const std::size_t pairs = subject_.num_pairs();
        const auto share = 1 / static_cast<double>(pairs);
        for (std::size_t pair = 0; pair < pairs; ++pair) {
            const auto one = subject_.likeness(which == Subject::Pairs::tuned ? pair : pairs + pair, modes);
            mean.distance += share * one.distance;
            mean.ssim += share * one.ssim;
            mean.psnr += share * one.psnr;
        }
        return mean;
    }

    std::vector<Tuned> tuned() {
        choose_modes();
        const auto rungs = ladder();
        for (const double speedup : o_.quality.asked() ? std::vector<double>{} : o_.speedups)
            check_speedup(state_.record.table, subject_.num_steps(), speedup);
        const bool halves =
            std::any_of(rungs.begin(), rungs.end(), [](const Rung& rung) { return rung.two_passes; });
        const GuidanceMode guidance =
            guidance_ && (halves || !subject_.may_batch()) ? GuidanceMode::split : GuidanceMode::batched;
        subject_.use(configs_of(rungs), guidance, subject_.num_pairs());

        std::vector<std::pair<double, Found>> results;
        if (o_.quality.asked())
            results.push_back(fastest());
        else
            for (std::size_t i = 0; i < o_.speedups.size(); ++i)
                results.emplace_back(
                    o_.speedups[i], found(o_.speedups[i], 1.0 / static_cast<double>(o_.speedups.size() - i)));
        save();

        std::vector<Tuned> all;
        say("check on pairs held out");
        subject_.use(configs_of(rungs), guidance, subject_.num_pairs(), Subject::Pairs::held_out);
        for (const auto& [speedup, result] : results)
            all.push_back(describe(likeness(result.modes, Subject::Pairs::held_out), rungs, speedup, result));
        subject_.release();  // a large model fits in memory once
        for (Tuned& one : all) {
            auto& figures = one.evidence.figures;
            figures["measured_speedup"] = subject_.speedup(one.config);
            figures["prediction_error"] = figures["predicted_speedup"] / figures["measured_speedup"] - 1;
        }
        return all;
    }

    /// The fastest of some speeds that reaches the quality, by halving.
    std::pair<double, Found> fastest() {
        std::vector<double> speeds = {1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4};
        const double most = most_speedup(state_.record.table, subject_.num_steps());
        std::erase_if(speeds, [most](double speed) { return speed > most; });
        if (speeds.empty()) check_speedup(state_.record.table, subject_.num_steps(), 1.25);
        std::optional<std::pair<double, Found>> best;
        std::size_t low = 0, high = speeds.size();
        while (low < high) {
            const std::size_t middle = (low + high) / 2;
            const Found result = found(speeds[middle], 0.25);
            const Likeness reached = likeness(result.modes, Subject::Pairs::tuned);
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

    Tuned describe(const Likeness& held_out, const std::vector<Rung>& rungs, double speedup,
                   const Found& result) const {
        Tuned tuned;
        tuned.speedup = speedup;
        tuned.config = config_of(subject_.structure(), rungs, result.modes);
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

    static constexpr std::size_t kMostStateBytes = std::size_t{256} << 20U;
    static constexpr double kSaveEvery = 20;  ///< seconds

    Subject& subject_;
    const TuneOptions& o_;
    bool guidance_ = false;
    State state_;
    Clock::time_point begin_, saved_ = Clock::now();
};

}  // namespace

void check_goals(const TuneOptions& options) {
    if (options.speedups.empty() && !options.quality.asked())
        usage_error("neither speedup nor quality is asked for");
    for (const double speedup : options.speedups)
        if (!(speedup >= 1 && std::isfinite(speedup)))
            usage_error("a speedup of {} is asked for; expected at least 1", speedup);
    if (!(options.quality.ssim >= 0 && options.quality.ssim < 1))
        usage_error("an SSIM of {} is asked for; expected less than 1, which only equal pictures have",
                    options.quality.ssim);
    if (!(options.quality.psnr >= 0 && options.quality.psnr <= kEqual))
        usage_error("a PSNR of {} dB is asked for; expected 0 to {}", options.quality.psnr, kEqual);
    check_number("minutes", options.minutes);
    if (options.minutes < 0) usage_error("{} minutes; expected 0 or more", options.minutes);
}

std::vector<Tuned> tune(Subject& subject, const TuneOptions& options) {
    return Tuner(subject, options).run();
}

}  // namespace reprise::tune

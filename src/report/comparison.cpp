#include "report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "media/metrics.h"
#include "reprise/error.h"

namespace reprise::report {

namespace {

constexpr int kSmallestForSsim = 11;

void measure_pair(const Made& made, const Made& full, Distances& distances) {
    if (made.frames.size() != full.frames.size() || made.frames.empty())
        failure("{} pictures cannot be compared with {}", made.frames.size(), full.frames.size());
    const auto count = static_cast<double>(made.frames.size());
    double psnr_sum = 0, ssim_sum = 0, error_sum = 0;
    bool equal = true;
    for (std::size_t i = 0; i < made.frames.size(); ++i) {
        const Image& image = made.frames[i];
        const double most = 20 * std::log10(255) + 10 * std::log10(3.0 * image.width() * image.height());
        distances.most_psnr = most;
        const double one = psnr(image, full.frames[i]);
        equal = equal && std::isinf(one);
        psnr_sum += std::min(one, most);
        ssim_sum += std::min(image.width(), image.height()) < kSmallestForSsim
                        ? std::numeric_limits<double>::quiet_NaN()
                        : ssim(image, full.frames[i]);
        const auto row = static_cast<std::int64_t>(i);
        error_sum += relative_error(made.latents.rows(row, row + 1), full.latents.rows(row, row + 1));
    }
    distances.psnr.push_back(equal ? std::numeric_limits<double>::infinity() : psnr_sum / count);
    distances.ssim.push_back(ssim_sum / count);
    distances.latent_error.push_back(error_sum / count);
}

Spread over_turns(const std::vector<Turn>& turns, const std::function<double(const Turn&)>& value) {
    std::vector<double> values;
    for (const auto& turn : turns)
        if (const double one = value(turn); std::isfinite(one)) values.push_back(one);
    return spread_of(std::move(values));
}

}  // namespace

Mean Distances::mean_psnr() const {
    if (std::all_of(psnr.begin(), psnr.end(), [](double one) { return std::isinf(one); }))
        return mean_of(psnr);
    std::vector<double> limited;
    for (std::size_t p = 0; p < psnr.size(); ++p) limited.push_back(limited_psnr(p));
    return mean_of(limited);
}

double Distances::limited_psnr(std::size_t pair) const {
    return std::min(psnr.at(pair), most_psnr);
}

Spread Way::denoise() const {
    return over_turns(turns, [&](const Turn& turn) { return turn.seconds(clock) / calls_pictures; });
}

Spread Way::end_to_end() const {
    return over_turns(turns, [&](const Turn& turn) {
        const RunReport& run = turn.report;
        return run.decode_seconds == 0
                   ? std::numeric_limits<double>::quiet_NaN()  // only timed: made no pictures
                   : (run.text_seconds + run.denoise_seconds + run.decode_seconds) / calls_pictures;
    });
}

Spread Way::speedup() const {
    const Spread spread = over_turns(turns, [this](const Turn& turn) {
        return turn.seconds(clock) > 0 ? turn.full(clock) / turn.seconds(clock)
                                       : std::numeric_limits<double>::quiet_NaN();
    });
    return spread.high == 0 ? Spread{1, 1, 1} : spread;
}

Mean Way::relative_time() const {
    constexpr double kOfMedian = 1.2533;  // its standard error over the mean's, for normal errors
    std::vector<double> times;
    for (const Turn& turn : turns)
        if (turn.full(clock) > 0) times.push_back(turn.seconds(clock) / turn.full(clock));
    Mean mean = mean_of(times);
    mean.mean = 1 / speedup().median;
    mean.error *= kOfMedian;
    return mean;
}

std::vector<WayStep> Way::steps() const {
    std::vector<WayStep> result(turns.empty() ? 0 : turns.front().report.steps.size());
    for (std::size_t s = 0; s < result.size(); ++s) {
        WayStep& step = result[s];
        std::vector<double> seconds, shares;
        for (const auto& turn : turns) {
            const StepInfo& info = turn.report.steps.at(s);
            seconds.push_back(info.seconds / calls_pictures);
            shares.push_back(info.flops_share);
            step.reused = step.reused || info.reused;
        }
        step.seconds = spread_of(std::move(seconds)).median;
        step.flops_share = mean_of(shares).mean;
    }
    return result;
}

std::vector<std::vector<int>> Way::decisions() const {
    std::vector<std::vector<int>> all;
    for (const auto& turn : turns)  // the first turns are one for each seed
        for (const auto& steps : turn.report.decisions)
            if (all.size() < made.size()) all.push_back(steps);
    return all;
}

std::vector<const Way*> Comparison::ways() const {
    std::vector<const Way*> all = {&full};
    for (const auto& way : cached) all.push_back(&way);
    for (const auto& way : fewer) all.push_back(&way);
    return all;
}

std::vector<const Way*> Comparison::shown() const {
    std::set<int> beside;
    for (const auto& way : cached)
        if (way.equal_steps) beside.insert(*way.equal_steps);
    auto all = ways();
    std::erase_if(all, [&](const Way* way) {
        return way->kind == Way::Kind::fewer && !beside.contains(way->num_steps);
    });
    return all;
}

void Comparison::measure() {
    const auto distances_of = [&](Way& way) {
        way.distances = {};
        for (std::size_t p = 0; p < pairs.size(); ++p)
            measure_pair(way.made.at(p), full.made.at(p), way.distances);
    };
    for (auto& way : cached) distances_of(way);
    for (auto& way : fewer) distances_of(way);
}

double Comparison::waited_share() const {
    double cpu = 0, waited = 0;
    for (const Way* way : ways())
        for (const Turn& turn : way->turns) {
            cpu += turn.report.denoise_cpu_seconds;
            waited += turn.report.denoise_waited_seconds;
        }
    return cpu + waited > 0 ? waited / (cpu + waited) : 0;
}

void Comparison::choose_clock() {
    // Two threads on two idle cores wait 1 % of the time; beside a compiler on both, 30 to 60 %.
    constexpr double kMostWaited = 0.1;
    const Clock chosen = waited_share() > kMostWaited ? Clock::cpu : Clock::wall;
    full.clock = chosen;
    for (auto* all : {&cached, &fewer})
        for (Way& way : *all) way.clock = chosen;
}

std::string clock_text(const Comparison& comparison) {
    if (comparison.clock() == Clock::wall) return "by the clock";
    return fmt::format(
        "CPU time of the process, for the clock says little: others used the CPUs, and it waited {:.0f} % "
        "of the time",
        100 * comparison.waited_share());
}

std::optional<Comparison::AtEqualTime> Comparison::fewer_at_time_of(const Way& way) const {
    if (way.kind != Way::Kind::cached) return std::nullopt;
    std::vector<std::pair<Mean, const Distances*>> curve;
    for (const auto& one : fewer) curve.emplace_back(one.relative_time(), &one.distances);
    std::sort(curve.begin(), curve.end(),
              [](const auto& a, const auto& b) { return a.first.mean < b.first.mean; });
    const Mean time = way.relative_time();
    for (std::size_t i = 1; i < curve.size(); ++i) {
        const auto& [low, near] = curve[i - 1];
        const auto& [high, far] = curve[i];
        if (time.mean < low.mean || time.mean > high.mean) continue;
        const double width = high.mean - low.mean;
        const double part = width > 0 ? (time.mean - low.mean) / width : 0;
        const auto between = [&](double a, double b) { return a + part * (b - a); };
        std::vector<double> gains;
        for (std::size_t p = 0; p < pairs.size(); ++p)
            gains.push_back(way.distances.limited_psnr(p) -
                            between(near->limited_psnr(p), far->limited_psnr(p)));
        Mean gain = mean_of(gains);
        if (width > 0) {
            const double slope = (far->mean_psnr().mean - near->mean_psnr().mean) / width;
            const double clock = std::hypot(time.error, (1 - part) * low.error, part * high.error);
            if (std::isfinite(slope)) gain.error = std::hypot(gain.error, slope * clock);
        }
        return AtEqualTime{between(near->mean_psnr().mean, far->mean_psnr().mean),
                           between(mean_of(near->ssim).mean, mean_of(far->ssim).mean),
                           between(mean_of(near->latent_error).mean, mean_of(far->latent_error).mean), gain};
    }
    return std::nullopt;
}

std::map<const Way*, std::string> file_names(const Comparison& comparison) {
    std::map<const Way*, std::string> names;
    std::set<std::string> taken;
    for (const Way* way : comparison.ways()) {
        std::string name;
        for (const char c : way->name) {
            const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                               c == '_' || (c == '.' && !name.empty());
            if (plain)
                name += c;
            else if (!name.empty() && name.back() != '-')
                name += '-';
        }
        while (name.ends_with('-')) name.pop_back();
        if (name.empty()) name = "way";
        std::string unique = name;
        for (int n = 2; !taken.insert(unique).second; ++n) unique = fmt::format("{}-{}", name, n);
        names[way] = unique;
    }
    return names;
}

}  // namespace reprise::report

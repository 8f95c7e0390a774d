#include "cachify/decider.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reprise/error.h"
#include "reprise/profile.h"

namespace reprise::cachify {

namespace {

constexpr std::array<std::pair<Decision::Probe, std::string_view>, 5> kProbes = {{
    {Decision::Probe::residual, "residual"},
    {Decision::Probe::modulated, "modulated"},
    {Decision::Probe::latents, "latents"},
    {Decision::Probe::latents_unet, "latents_unet"},
    {Decision::Probe::table, "table"},
}};

/// A change that is not a number, or from nothing, is as large as can be: the step then runs.
double relative(double difference, double magnitude) {
    const double change = difference == 0 ? 0 : difference / magnitude;
    return std::isfinite(change) ? change : HUGE_VAL;
}

bool looks_at_latents(Decision::Probe probe) {
    return probe == Decision::Probe::latents || probe == Decision::Probe::latents_unet;
}

bool looks_at_a_probe(Decision::Probe probe) {
    return probe == Decision::Probe::residual || probe == Decision::Probe::modulated;
}

}  // namespace

std::string_view name_of(Decision::Probe probe) {
    for (const auto& [known, name] : kProbes)
        if (known == probe) return name;
    return "?";
}

Decision::Probe decision_probe(std::string_view name) {
    std::vector<std::string_view> names;
    for (const auto& [probe, known] : kProbes) {
        if (known == name) return probe;
        names.push_back(known);
    }
    usage_error("probe is '{}'; expected one of {}", name, fmt::join(names, ", "));
}

Decider::Decider(const Decision& decision, int num_steps, std::size_t picture)
    : decision_(decision), num_steps_(num_steps) {
    if (!(decision.threshold >= 0))
        usage_error("a decision's threshold is {}; expected 0 or more", decision.threshold);
    if (decision.probe == Decision::Probe::table && decision.table.empty() && decision.replay.empty())
        usage_error("a decision by a table needs one: calibrate writes it");
    if (decision.replay.empty()) return;
    if (picture >= decision.replay.size())
        usage_error("the record to be replayed is of {} pictures; this call makes more",
                    decision.replay.size());
    record_ = decision.replay[picture];
}

bool Decider::reuses(int step, bool allowed, Measure& seen, std::size_t branch) {
    branch_ = branch;
    allowed_ = allowed;
    reusing_ = record_ ? is_recorded(step, allowed) : is_small_enough(step, allowed, seen);
    if (reusing_) reused_.push_back(step);
    return reusing_;
}

bool Decider::is_recorded(int step, bool allowed) const {
    const bool recorded = std::find(record_->begin(), record_->end(), step) != record_->end();
    if (recorded && !allowed)
        usage_error("the record to be replayed reuses step {}, which the configuration does not allow", step);
    return recorded;
}

bool Decider::is_small_enough(int step, bool allowed, Measure& seen) {
    const double held = accumulated(change(step, seen));
    const bool reuse = allowed && within_limits(step) && held < budget();
    remember(reuse, seen);
    gathered_ = reuse ? held : 0;
    in_a_row_ = reuse ? in_a_row_ + 1 : 0;
    if (!reuse) ratio_ = 1;
    return reuse;
}

/// Since the step that it is compared with.
double Decider::change(int step, const Measure& seen) {
    if (decision_.probe == Decision::Probe::table) {
        // Stretched to this number of steps by the nearest entry.
        const auto last = static_cast<double>(decision_.table.size() - 1);
        const double place = num_steps_ > 1 ? last * step / (num_steps_ - 1) : 0;
        ratio_ *= decision_.table[static_cast<std::size_t>(std::lround(place))];
        return std::abs(1 - ratio_);
    }
    if (looks_at_latents(decision_.probe)) return change_of_latents(seen);
    if (!has_probe_[branch_]) return HUGE_VAL;
    return relative(seen.difference(Seen::probe, kept_probe()), seen.magnitude(kept_probe()));
}

double Decider::change_of_latents(const Measure& seen) const {
    if (rate_ == 0) return HUGE_VAL;
    if (decision_.probe == Decision::Probe::latents)
        return relative(rate_ * seen.difference(Seen::sample, Seen::last_sample), output_magnitude_);
    // stable-diffusion.cpp, ucache: since the last full step, relative to a smoothed scale of the output's
    // own changes, and dearer the longer the denoiser has not run.
    constexpr double kScale = 1.6, kLeast = 1e-6;
    const double scale =
        std::sqrt(std::max(output_magnitude_, kLeast) * std::max(kScale * output_change_, kLeast));
    return relative(rate_ * seen.difference(Seen::sample, Seen::full_sample), scale) * (1 + 0.5 * in_a_row_);
}

double Decider::budget() const {
    if (decision_.probe != Decision::Probe::latents_unet) return decision_.threshold;
    // stable-diffusion.cpp, ucache: half of it until a fifth of the steps has run in full, half as much again
    // where more than four fifths have.
    const double progress = static_cast<double>(computed_) / num_steps_;
    const double share = progress < 0.2 ? 0.5 : progress > 0.8 ? 1.5 : 1;
    return share * decision_.threshold;
}

double Decider::accumulated(double change) const {
    const double own = decision_.polynomial.empty() || !std::isfinite(change)
                           ? change
                           : std::abs(evaluate_polynomial(decision_.polynomial, change));
    return decision_.accumulate ? gathered_ + own : own;
}

bool Decider::within_limits(int step) const {
    return step >= std::max(1, decision_.warm_up) && step < num_steps_ - decision_.cool_down &&
           (decision_.most_in_a_row <= 0 || in_a_row_ < decision_.most_in_a_row) &&
           (decision_.most_in_all <= 0 || static_cast<int>(reused_.size()) < decision_.most_in_all);
}

void Decider::remember(bool reuse, Measure& seen) {
    if (looks_at_latents(decision_.probe)) {
        seen.remember(Seen::sample, Seen::last_sample);
    } else if (looks_at_a_probe(decision_.probe) && (!reuse || decision_.accumulate)) {
        seen.remember(Seen::probe, kept_probe());
        has_probe_[branch_] = true;
    }
}

void Decider::gave(Measure& seen) {
    if (!looks_at_latents(decision_.probe) || record_ || reusing_) return;
    // ucache knows nothing of what is outside of its window
    if (decision_.probe == Decision::Probe::latents_unet && !allowed_) return;
    ++computed_;
    output_magnitude_ = seen.magnitude(Seen::prediction);
    if (computed_ > 1) {
        const double change = seen.difference(Seen::prediction, Seen::full_prediction);
        const double moved = seen.difference(Seen::last_sample, Seen::full_sample);
        if (moved > 0) rate_ = change / moved;
        output_change_ = output_change_ == 0 ? change : 0.8 * output_change_ + 0.2 * change;
    }
    seen.remember(Seen::prediction, Seen::full_prediction);
    seen.remember(Seen::last_sample, Seen::full_sample);
}

}  // namespace reprise::cachify

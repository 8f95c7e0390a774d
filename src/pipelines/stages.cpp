#include "pipelines/stages.h"

#include <algorithm>
#include <cmath>

namespace reprise::pipelines {

namespace {

/// The timestep at a share of the way, rounded as Python does: halves to the even number.
double timestep_at(double share, int num_train_timesteps) {
    return std::nearbyint(num_train_timesteps - share * num_train_timesteps);
}

}  // namespace

EvaluationRange range_of(const std::vector<Evaluation>& evaluations, const DenoisingPart& part,
                         int num_train_timesteps) {
    EvaluationRange range{0, evaluations.size()};
    if (part.start) {
        const double cutoff = timestep_at(*part.start, num_train_timesteps);
        while (range.first < range.end && evaluations[range.first].timestep >= cutoff) ++range.first;
        while (range.first > 0 && range.first < range.end &&
               evaluations[range.first - 1].step == evaluations[range.first].step)
            --range.first;
    }
    if (part.end) {
        const double cutoff = timestep_at(*part.end, num_train_timesteps);
        while (range.end > range.first && evaluations[range.end - 1].timestep < cutoff) --range.end;
    }
    return range;
}

std::vector<Stage> stages_of(const std::vector<Evaluation>& evaluations, EvaluationRange range,
                             const std::vector<double>& down_to) {
    std::vector<Stage> stages;
    std::size_t denoiser = 0;
    for (std::size_t e = range.first; e < range.end; ++e) {
        while (denoiser + 1 < down_to.size() && evaluations[e].timestep < down_to[denoiser]) ++denoiser;
        if (stages.empty() || stages.back().denoiser != denoiser) stages.push_back({denoiser, {e, e}});
        stages.back().range.end = e + 1;
    }
    return stages;
}

std::vector<Evaluation> own_evaluations(const std::vector<Evaluation>& evaluations, EvaluationRange range) {
    std::vector<Evaluation> own(evaluations.begin() + static_cast<std::ptrdiff_t>(range.first),
                                evaluations.begin() + static_cast<std::ptrdiff_t>(range.end));
    for (Evaluation& evaluation : own) evaluation.step -= evaluations[range.first].step;
    return own;
}

}  // namespace reprise::pipelines

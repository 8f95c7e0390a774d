#include "schedulers/scheduler.h"

#include <utility>

#include "reprise/error.h"

namespace reprise {

namespace {

void check_sample(const Tensor& sample, std::string_view what) {
    if (!sample.defined() || sample.type() != DType::f32)
        failure("sampler: the {} is {}, expected a tensor of f32", what,
                sample.defined() ? name_of(sample.type()) : "no tensor");
}

}  // namespace

Sampler::Sampler(std::vector<Evaluation> evaluations, std::vector<float> sigmas, float init_noise_sigma)
    : evaluations_(std::move(evaluations)), sigmas_(std::move(sigmas)), init_noise_sigma_(init_noise_sigma) {
    if (evaluations_.empty() || sigmas_.size() < evaluations_.size())
        failure("sampler: {} evaluations with {} noise levels", evaluations_.size(), sigmas_.size());
}

Tensor Sampler::scale_model_input(const Tensor& sample, int evaluation) const {
    check_sample(sample, "sample");
    if (evaluation < 0 || static_cast<std::size_t>(evaluation) >= evaluations_.size())
        failure("sampler: evaluation {} of {}", evaluation, evaluations_.size());
    return is_scaled_ ? scaled(sample, static_cast<std::size_t>(evaluation)) : sample;
}

void Sampler::begin_at(int evaluation) {
    if (evaluation < next_ || static_cast<std::size_t>(evaluation) >= evaluations_.size())
        failure("sampler: a run is to begin at evaluation {} of {}, and is at {}", evaluation,
                evaluations_.size(), next_);
    next_ = evaluation;
}

Tensor Sampler::step(const Tensor& model_output, int evaluation, const Tensor& sample, Generator* generator) {
    check_sample(sample, "sample");
    check_sample(model_output, "denoiser's output");
    if (model_output.shape() != sample.shape())
        failure("sampler: the denoiser's output has shape {}, the sample {}", to_string(model_output.shape()),
                to_string(sample.shape()));
    if (evaluation != next_ || static_cast<std::size_t>(evaluation) >= evaluations_.size())
        failure("sampler: evaluation {} came when {} of {} was due", evaluation, next_, evaluations_.size());
    ++next_;
    return advance(model_output, static_cast<std::size_t>(evaluation), sample, generator);
}

Tensor Sampler::scaled(const Tensor& sample, std::size_t /*evaluation*/) const {
    return sample;
}

std::unique_ptr<Sampler> Scheduler::start(int num_inference_steps) const {
    constexpr int kMost = 100'000;
    if (num_inference_steps < 1 || num_inference_steps > kMost)
        usage_error("number of steps is {}; {} takes 1 to {}", num_inference_steps, name(), kMost);
    auto sampler = make_sampler(num_inference_steps);
    if (!scales_) sampler->leave_unscaled();
    return sampler;
}

}  // namespace reprise

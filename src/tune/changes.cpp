#include "tune/changes.h"

#include <algorithm>
#include <cmath>

namespace reprise::tune {

namespace {

/// An f32 copy.
Tensor own(const Tensor& tensor) {
    return tensor.type() == DType::f32 ? tensor.clone() : tensor.to(DType::f32);
}

Tensor difference(const Tensor& a, const Tensor& b) {
    Tensor result = own(a);
    const Tensor other = b.to(DType::f32);
    const auto out = result.span<float>();
    const auto minus = other.span<float>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] -= minus[i];
    return result;
}

double sum_of_magnitudes(const Tensor& tensor) {
    double sum = 0;
    for (const float value : tensor.span<float>()) sum += std::abs(value);
    return sum;
}

double sum_of_differences(const Tensor& a, const Tensor& b) {
    double sum = 0;
    const auto x = a.span<float>();
    const auto y = b.span<float>();
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(x[i] - y[i]);
    return sum;
}

/// Euclidean length of each token: over the channels, which are the last of (B, L, C) and the last but two of
/// pictures.
std::vector<double> lengths(const Tensor& tensor) {
    const auto& shape = tensor.shape();
    const std::size_t axis = shape.size() >= 4 ? shape.size() - 3 : shape.size() - 1;
    std::size_t inner = 1;
    for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= static_cast<std::size_t>(shape[i]);
    const auto channels = static_cast<std::size_t>(shape[axis]);
    const auto values = tensor.span<float>();
    std::vector<double> result(values.size() / channels, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double value = values[i];
        result[i / (channels * inner) * inner + i % inner] += value * value;
    }
    for (double& length : result) length = std::sqrt(length);
    return result;
}

void add(std::vector<double>& sums, std::size_t index, double value) {
    if (sums.size() <= index) sums.resize(index + 1, 0);
    sums[index] += value;
}

std::vector<double> means(std::vector<double> sums, int count, double first) {
    for (double& value : sums) value /= std::max(1, count);
    if (!sums.empty()) sums.front() = first;
    return sums;
}

}  // namespace

void Series::begin_run() {
    branches_.clear();
    steps_.clear();
}

void Series::see(int step, int branch, std::vector<Tensor> values) {
    Branch& own = branches_[branch];
    if (own.step != step) {
        own.before = std::move(own.latest);
        own.step = step;
    }
    own.latest = std::move(values);
    const auto index = static_cast<std::size_t>(step);
    if (steps_.size() <= index) steps_.resize(index + 1);
    Step& sum = steps_[index];
    for (std::size_t i = 0; i < own.before.size(); ++i) {
        const Tensor& now = own.latest[i];
        const Tensor& before = own.before[i];
        sum.difference += sum_of_differences(now, before);
        sum.size += sum_of_magnitudes(now);
        sum.size_before += sum_of_magnitudes(before);
        const auto a = lengths(now);
        const auto b = lengths(before);
        for (std::size_t t = 0; t < a.size(); ++t)
            if (b[t] > 0) {
                sum.ratio += a[t] / b[t];
                sum.tokens += 1;
            }
    }
}

void Series::end_run() {
    const auto over = [](double a, double b) { return b > 0 ? a / b : 0; };
    for (std::size_t step = 0; step < steps_.size(); ++step) {
        const Step& sum = steps_[step];
        add(change_, step, over(sum.difference, sum.size));
        add(ratios_, step, sum.tokens > 0 ? sum.ratio / sum.tokens : 1);
        if (step > 0) from_before_.push_back(over(sum.difference, sum.size_before));
    }
    ++runs_;
    begin_run();
}

std::vector<double> Series::change() const {
    return means(change_, runs_, 0);
}

std::vector<double> Series::ratios() const {
    return means(ratios_, runs_, 1);
}

void Changes::all(void (Series::*what)()) {
    for (Module& module : modules_) (module.series.*what)();
    for (Series* series : {&blocks_, &denoiser_, &modulated_, &prediction_}) (series->*what)();
}

void Changes::begin_run() {
    all(&Series::begin_run);
}

void Changes::end_run() {
    all(&Series::end_run);
}

void Changes::see(const pipelines::Sight& sight) {
    const pipelines::Sight::Module* first = nullptr;
    const pipelines::Sight::Module* last = nullptr;
    if (modules_.empty())
        for (const auto& shown : sight.modules) {
            const bool residual = std::any_of(shown.streams.begin(), shown.streams.end(),
                                              [](const Tensor& stream) { return stream.defined(); });
            modules_.push_back({shown.name, shown.kind, residual, {}});
        }
    for (std::size_t m = 0; m < sight.modules.size(); ++m) {
        const auto& shown = sight.modules[m];
        std::vector<Tensor> values;
        for (std::size_t i = 0; i < shown.outputs.size(); ++i)
            values.push_back(shown.streams[i].defined() ? difference(shown.outputs[i], shown.streams[i])
                                                        : own(shown.outputs[i]));
        modules_[m].series.see(sight.step, sight.branch, std::move(values));
        if (shown.kind != graph::ModuleKind::block) continue;
        if (first == nullptr) first = &shown;
        last = &shown;
    }
    // The picture's stream is the last of a block's.
    if (first != nullptr && first->input.defined() && last->output.defined())
        blocks_.see(sight.step, sight.branch,
                    {first->input.shape() == last->output.shape() ? difference(last->output, first->input)
                                                                  : own(last->output)});
    denoiser_.see(
        sight.step, sight.branch,
        {sight.sample.shape() == sight.prediction.shape() ? difference(sight.prediction, sight.sample)
                                                          : own(sight.prediction)});
    if (sight.modulated.defined()) modulated_.see(sight.step, sight.branch, {own(sight.modulated)});
    prediction_.see(sight.step, sight.branch, {own(sight.prediction)});
}

cachify::Profile Changes::profile() const {
    constexpr int kDegree = 4;  // the paper's
    cachify::Profile profile;
    for (const Module& module : modules_)
        profile.modules.push_back({module.name, module.kind, module.residual, module.series.change()});
    profile.denoiser_ratios = denoiser_.ratios();
    profile.block_ratios = blocks_.ratios();
    if (profile.block_ratios.empty()) profile.block_ratios = profile.denoiser_ratios;
    profile.input_changes = modulated_.from_before();
    if (profile.input_changes.empty()) return profile;
    profile.output_changes = prediction_.from_before();
    profile.polynomial = cachify::fit_polynomial(profile.input_changes, profile.output_changes, kDegree);
    double squares = 0;
    for (std::size_t i = 0; i < profile.input_changes.size(); ++i) {
        const double rest = cachify::evaluate_polynomial(profile.polynomial, profile.input_changes[i]) -
                            profile.output_changes[i];
        squares += rest * rest;
    }
    profile.polynomial_error = std::sqrt(squares / static_cast<double>(profile.input_changes.size()));
    return profile;
}

}  // namespace reprise::tune

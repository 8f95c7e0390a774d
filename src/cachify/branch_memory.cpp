#include "cachify/branch_memory.h"

#include <algorithm>

#include "backends/host_queue.h"
#include "cachify/combination.h"

namespace reprise::cachify {

namespace {

/// a + weight * b, f32.
Tensor sum(const Tensor& a, const Tensor& b, float weight) {
    Tensor result = a.clone();
    const auto out = result.span<float>();
    const auto other = b.span<float>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += weight * other[i];
    return result;
}

}  // namespace

void BranchMemory::complete(std::vector<Tensor>& predictions, int evaluation, int decision, int mode) {
    if (schedule_->branch_rules.empty()) return;
    for (const Schedule::BranchRule& rule : schedule_->branch_rules) {
        const auto branch = static_cast<std::size_t>(rule.branch);
        const Tensor& other = predictions.at(1 - branch);
        Kept& kept = kept_[branch];
        if (rule.store.rule == Store::Rule::drop) continue;
        if (schedule_->stand_in(rule.branch, decision, mode) == nullptr) {
            if (rule.store.rule == Store::Rule::delta && !other.defined()) continue;
            kept.predictions.insert(kept.predictions.begin(), rule.store.rule == Store::Rule::delta
                                                                  ? sum(predictions[branch], other, -1)
                                                                  : predictions[branch]);
            kept.evaluations.insert(kept.evaluations.begin(), evaluation);
            if (kept.predictions.size() > static_cast<std::size_t>(most_terms(rule.store))) {
                kept.predictions.pop_back();
                kept.evaluations.pop_back();
            }
            continue;
        }
        if (rule.store.rule == Store::Rule::delta) {
            predictions[branch] = sum(other, kept.predictions.front(), 1);
            continue;
        }
        const auto weights = weights_at(rule.store, kept.evaluations, evaluation, decision);
        std::vector<backends::Value> values(kept.predictions.begin(), kept.predictions.end());
        std::vector<backends::Queue::Term> terms;
        for (std::size_t i = 0; i < weights.size(); ++i) terms.push_back({&values[i], weights[i]});
        predictions[branch] = Tensor(DType::f32, kept.predictions.front().shape());
        backends::host::combine(predictions[branch], terms);
    }
    std::erase_if(predictions, [](const Tensor& prediction) { return !prediction.defined(); });
}

std::size_t BranchMemory::kept_bytes() const {
    std::size_t bytes = 0;
    for (const Kept& kept : kept_)
        for (const Tensor& tensor : kept.predictions) bytes += tensor.bytes();
    return bytes;
}

}  // namespace reprise::cachify

#include "cachify/random_model.h"

#include <algorithm>
#include <array>

#include "models/denoiser.h"

namespace reprise::cachify::testing {

using graph::Builder;
using graph::Value;

namespace {

const Shape kShape = {1, 1, 1, 5};

class Maker {
  public:
    explicit Maker(std::mt19937& random) : random_(random), builder_("random", DType::f32, nullptr) {}

    graph::Graph make() {
        std::vector<Value> values = {builder_.input("x", kShape), builder_.input("t", kShape),
                                     builder_.input(models::fixed_input("text", kShape))};
        std::vector<float> table;
        for (int i = 0; i < 5; ++i) table.push_back(real());
        values.push_back(builder_.constant("table", Tensor::from(kShape, table)));
        body(values, 0, 3 + below(6));
        const int outputs = 1 + below(2);
        for (int i = 0; i < outputs; ++i) builder_.output(std::to_string(i), recent(values));
        return builder_.finish();
    }

  private:
    int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
    float real() { return std::uniform_real_distribution<float>(-1, 1)(random_); }
    Value any(const std::vector<Value>& values) {
        return values[static_cast<std::size_t>(below(static_cast<int>(values.size())))];
    }
    Value recent(const std::vector<Value>& values) {
        const int window = std::min<int>(3, static_cast<int>(values.size()));
        return values[values.size() - 1 - static_cast<std::size_t>(below(window))];
    }

    Value operation(const std::vector<Value>& values) {
        constexpr std::array kUnary = {graph::Unary::silu, graph::Unary::tanh, graph::Unary::sigmoid};
        constexpr std::array kBinary = {graph::Binary::add, graph::Binary::subtract, graph::Binary::multiply};
        switch (below(4)) {
            case 0:
                return builder_.unary(recent(values), kUnary[static_cast<std::size_t>(below(3))]);
            case 1:
                return builder_.affine(any(values), 0.5F + real(), real());
            default:
                return builder_.binary(recent(values), any(values),
                                       kBinary[static_cast<std::size_t>(below(3))]);
        }
    }

    void body(std::vector<Value>& values, int depth, int length) {
        for (int i = 0; i < length; ++i) {
            if (depth < 3 && below(10) < 6)
                module(values, depth);
            else
                values.push_back(operation(values));
        }
    }

    void module(std::vector<Value>& values, int depth) {
        auto scope = builder_.module("m" + std::to_string(count_++),
                                     below(2) == 0 ? ModuleKind::block : ModuleKind::resnet);
        std::vector<Value> inside;
        const int taken = 1 + below(3);
        for (int i = 0; i < taken; ++i) inside.push_back(i == 0 ? recent(values) : any(values));
        const std::vector<Value> streams = inside;
        if (below(5) > 0) {
            if (taken > 1 && below(2) == 0)
                scope.takes({streams[0], streams[1]});
            else
                scope.takes({streams[0]});
        }
        body(inside, depth + 1, 1 + below(4));
        const int outputs = 1 + below(3);
        std::vector<Value> returned;
        for (int i = 0; i < outputs; ++i) {
            const Value value = below(6) == 0 ? any(streams) : recent(inside);  // passes through now and then
            returned.push_back(scope.returns(value));
        }
        values.insert(values.end(), returned.begin(), returned.end());
    }

    std::mt19937& random_;
    Builder builder_;
    int count_ = 0;
};

}  // namespace

namespace {

/// Weights by step, of as many values at most as a module with these rules around it has computed before.
std::vector<std::vector<double>> random_weights(std::mt19937& random,
                                                const std::vector<const Schedule::Rule*>& rules) {
    const auto draw = [&](int most) {
        std::vector<double> weights(std::uniform_int_distribution<std::size_t>(
            1, static_cast<std::size_t>(std::max(most, 1)))(random));
        for (double& weight : weights) weight = std::uniform_real_distribution<double>(-1.5, 1.5)(random);
        return weights;
    };
    const auto& own = rules.front()->reuse;
    std::vector<int> least(own.front().size(), 4);  // by step, of all branches
    for (std::size_t b = 0; b < own.size(); ++b) {
        int runs = 0;
        for (std::size_t s = 0; s < own[b].size(); ++s) {
            least[s] = std::min(least[s], runs);
            if (std::none_of(rules.begin(), rules.end(), [&](const auto* rule) { return rule->reuse[b][s]; }))
                ++runs;
        }
    }
    if (std::bernoulli_distribution(0.2)(random)) {
        int most = 4;
        for (std::size_t s = 0; s < least.size(); ++s)
            for (const auto& steps : own) most = steps[s] ? std::min(most, least[s]) : most;
        return {draw(most)};
    }
    std::vector<std::vector<double>> result;
    for (const int most : least) result.push_back(draw(most));
    return result;
}

}  // namespace

graph::Graph random_model(std::mt19937& random) {
    return Maker(random).make();
}

std::vector<Tensor> random_inputs(std::mt19937& random) {
    std::vector<Tensor> inputs;
    for (int i = 0; i < 3; ++i) {
        Tensor tensor(DType::f32, kShape);
        for (float& value : tensor.span<float>())
            value = std::uniform_real_distribution<float>(-1, 1)(random);
        inputs.push_back(tensor);
    }
    return inputs;
}

Schedule random_schedule(std::mt19937& random, const graph::Graph& graph, int num_steps, int num_branches,
                         Count count) {
    const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
    Schedule schedule{num_steps, num_branches, count, {}, {}};
    const double density = std::uniform_real_distribution<double>(0.2, 0.9)(random);
    const bool same_for_all_branches = chance(0.7);
    const bool only_plain = chance(0.3);
    for (std::size_t m = 1; m < graph.modules.size(); ++m) {
        const auto& module = graph.modules[m];
        if (module.outputs.empty() || !chance(density)) continue;
        Schedule::Rule rule;
        rule.module = static_cast<graph::ModuleId>(m);
        switch (only_plain ? 0 : std::uniform_int_distribution<int>(0, 9)(random)) {
            case 1:
                rule.store = {module.inputs.empty() ? Store::Rule::output : Store::Rule::delta};
                break;
            case 2:
                rule.store = {Store::Rule::forecast, 1};
                break;
            case 3:
                rule.store = {Store::Rule::forecast, 2};
                break;
            case 4:
                rule.store = {Store::Rule::mean};
                break;
            case 5:
            case 6:
                rule.store = {module.inputs.empty() ? Store::Rule::forecast : Store::Rule::delta_forecast,
                              std::uniform_int_distribution<int>(1, 2)(random)};
                break;
            case 7:
            case 8:
            case 9:
                rule.store = {module.inputs.empty() || chance(0.5) ? Store::Rule::linear
                                                                   : Store::Rule::delta_linear};
                break;
            default:
                break;
        }
        if (chance(0.25)) rule.store.kept_in = chance(0.5) ? DType::f16 : DType::bf16;
        const bool periodic = chance(0.5);
        const int period = std::uniform_int_distribution<int>(2, 3)(random);
        for (int b = 0; b < num_branches; ++b) {
            if (b > 0 && same_for_all_branches) {
                rule.reuse.push_back(rule.reuse[0]);
                continue;
            }
            auto& steps = rule.reuse.emplace_back();
            for (int s = 0; s < num_steps; ++s)
                steps.push_back(s > 0 && (periodic ? s % period != 0 : chance(0.5)));
        }
        if (rule.store.rule == Store::Rule::linear || rule.store.rule == Store::Rule::delta_linear) {
            std::vector<const Schedule::Rule*> rules = {&rule};
            for (const auto& other : schedule.rules)
                if (graph.is_within(rule.module, other.module)) rules.push_back(&other);
            rule.store.weights = random_weights(random, rules);
        }
        schedule.rules.push_back(std::move(rule));
    }
    if (num_branches > 1 && chance(0.5)) {  // one half of guidance is left out at some steps
        Schedule::BranchRule rule;
        rule.branch = std::uniform_int_distribution<int>(0, num_branches - 1)(random);
        rule.store = {chance(0.5) ? Store::Rule::drop : Store::Rule::delta};
        for (int s = 0; s < num_steps; ++s) rule.reuse.push_back(s > 0 && chance(0.4));
        schedule.branch_rules.push_back(std::move(rule));
    }
    return schedule;
}

namespace {

/// What a module may read: values around it that are there before its first output.
std::vector<graph::NodeId> readable(const graph::Graph& graph, graph::ModuleId module) {
    const auto& own = graph.modules[static_cast<std::size_t>(module)];
    std::vector<graph::NodeId> result;
    for (graph::NodeId id = 0; id < own.outputs.front(); ++id) {
        const auto place = graph[id].module;
        const auto parent = std::max(graph.modules[static_cast<std::size_t>(place)].parent, 0);
        const bool is_output = graph[id].op == graph::Op::module_output;
        if (place != module && graph.is_within(own.parent, is_output ? parent : place)) result.push_back(id);
    }
    return result;
}

graph::Graph random_body(std::mt19937& random, std::size_t inputs, std::size_t outputs) {
    const auto below = [&](std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
    };
    Builder builder("variant", DType::f32, nullptr);
    std::vector<Value> values;
    for (std::size_t i = 0; i < inputs; ++i) values.push_back(builder.input(std::to_string(i), kShape));
    for (std::size_t i = 0; i < 1 + below(3); ++i) {
        const Value value = values[below(values.size())];
        const auto factor = std::uniform_real_distribution<float>(0.5F, 1.5F)(random);
        values.push_back(below(2) == 0
                             ? builder.affine(value, factor, 0.25F)
                             : builder.binary(values[below(values.size())], value, graph::Binary::subtract));
    }
    for (std::size_t i = 0; i < outputs; ++i)
        builder.output(std::to_string(i), i == 0 ? values.back() : values[below(values.size())]);
    return builder.finish();
}

}  // namespace

std::vector<Variant> add_random_variants(std::mt19937& random, const graph::Graph& graph,
                                         Schedule& schedule) {
    const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
    std::vector<Variant> variants;
    for (std::size_t m = 1; m < graph.modules.size(); ++m) {
        const auto& module = graph.modules[m];
        const auto id = static_cast<graph::ModuleId>(m);
        if (module.outputs.empty() || !chance(0.4)) continue;
        const auto from = readable(graph, id);
        const int count = chance(0.7) ? 1 : 2;
        for (int v = 0; v < count; ++v) {
            Variant variant;
            variant.module = id;
            for (int i = 0; i < (chance(0.5) ? 1 : 2); ++i)
                variant.reads.push_back(
                    from[std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random)]);
            variant.body = random_body(random, variant.reads.size(), module.outputs.size());
            variants.push_back(std::move(variant));
        }
        // What is reused inside has to run at first.
        const bool holds_rules = std::any_of(
            schedule.rules.begin(), schedule.rules.end(),
            [&](const auto& rule) { return rule.module != id && graph.is_within(rule.module, id); });
        Schedule::VariantRule rule;
        rule.module = id;
        for (int b = 0; b < schedule.num_branches; ++b) {
            auto& steps = rule.variant.emplace_back();
            for (int s = 0; s < schedule.num_steps; ++s)
                steps.push_back(holds_rules && (s == 0 || chance(0.6))
                                    ? 0
                                    : std::uniform_int_distribution<int>(0, count)(random));
        }
        if (schedule.num_modes > 1 && chance(0.6)) {
            for (int mode = 0; mode < schedule.num_modes; ++mode) rule.modes.push_back(chance(0.5));
            if (chance(0.3)) {  // another in the other modes
                Schedule::VariantRule other = rule;
                other.modes.flip();
                for (auto& steps : other.variant)
                    for (int& variant : steps) variant = variant == 0 && !holds_rules ? count : 0;
                schedule.variant_rules.push_back(std::move(other));
            }
        }
        schedule.variant_rules.push_back(std::move(rule));
    }
    return variants;
}

void add_random_modes(std::mt19937& random, const graph::Graph& graph, Schedule& schedule) {
    const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
    const auto below = [&](std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
    };
    schedule.num_modes = chance(0.7) ? 2 : 3;
    const auto modes = [&] {
        std::vector<bool> holds;
        for (int m = 0; m < schedule.num_modes; ++m) holds.push_back(chance(m == 0 ? 0.2 : 0.7));
        return holds;
    };
    for (auto& rule : schedule.rules)
        if (chance(0.8)) rule.modes = modes();
    for (auto& rule : schedule.branch_rules)
        if (chance(0.5)) rule.modes = modes();
    if (!chance(0.6)) return;
    const auto& module = graph.modules[below(graph.modules.size())];
    if (module.inputs.empty() || module.outputs.size() < module.inputs.size()) return;
    schedule.decision.emplace();
    schedule.decision->first = module.name;
}

}  // namespace reprise::cachify::testing

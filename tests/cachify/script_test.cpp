// A script that is followed step by step, by wrapped modules that know nothing else of a schedule.
#include "cachify/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "backends/backend.h"
#include "cachify/combination.h"
#include "cachify/naive.h"
#include "cachify/plan.h"
#include "cachify/random_model.h"
#include "cachify/support.h"
#include "graph/builder.h"

namespace reprise::cachify::testing {
namespace {

using graph::NodeId;
using graph::Op;
using reprise::testing::same_bits;
using Action = Script::Action;

/// Follows a script: computes what an execution's outputs need and what its lines keep, and drops the rest.
class Follower {
  public:
    Follower(const graph::Graph& graph, const Script& script, const backends::Backend& backend)
        : graph_(graph),
          script_(script),
          nodes_(graph, no_rules_, backend),
          unit_of_(graph.modules.size(), -1) {
        for (std::size_t u = 0; u < script.units.size(); ++u)
            unit_of_[static_cast<std::size_t>(script.units[u].module)] = static_cast<int>(u);
    }

    std::vector<Tensor> run(const Script::Scene& scene, const std::vector<Tensor>& inputs) {
        scene_ = &scene;
        values_.assign(graph_.nodes.size(), {});
        for (std::size_t i = 0; i < inputs.size(); ++i)
            values_[static_cast<std::size_t>(graph_.inputs[i])] = inputs[i];
        std::vector<Tensor> outputs;
        for (const auto& output : graph_.outputs) outputs.push_back(value(output.node));
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) keep(static_cast<NodeId>(n));
        for (auto& [place, kept] : memory_) {
            const auto held = static_cast<std::size_t>(line(place.first)->held);
            if (place.second == scene.execution.branch && kept.size() > held) kept.resize(held);
        }
        return outputs;
    }
    std::size_t computed() const { return computed_; }
    std::size_t held() const {
        std::size_t all = 0;
        for (const auto& [place, kept] : memory_)
            if (store(place.first).rule != Store::Rule::mean)
                all += kept.size();  // the other half may read it
        return all;
    }

  private:
    const Script::Line* line(NodeId id) const {
        const int unit = unit_of_[static_cast<std::size_t>(graph_[id].module)];
        return unit < 0 ? nullptr : &scene_->lines[static_cast<std::size_t>(unit)];
    }
    const Store& store(NodeId id) const {
        const int unit = unit_of_[static_cast<std::size_t>(graph_[id].module)];
        return script_.units[static_cast<std::size_t>(unit)].store;
    }
    /// What the module adds to, where its store keeps that.
    NodeId base(NodeId id) const {
        if (!keeps_differences(store(id))) return -1;
        const auto& inputs = graph_.modules[static_cast<std::size_t>(graph_[id].module)].inputs;
        const auto index = static_cast<std::size_t>(graph_[id].attrs<graph::ModuleOutputAttrs>().index);
        return index < inputs.size() && graph_[inputs[index]].shape == graph_[id].shape ? inputs[index] : -1;
    }

    /// Whether it depends on fixed inputs alone, and no sum of kept values stands for it.
    bool never_changes(NodeId id) const {
        const graph::Node& node = graph_[id];
        if (node.op == Op::input) return node.attrs<graph::InputAttrs>().name == "text";
        if (node.op == Op::module_output && line(id) != nullptr && store(id).rule != Store::Rule::output)
            return false;
        return std::all_of(node.inputs.begin(), node.inputs.end(),
                           [&](NodeId input) { return never_changes(input); });
    }

    const Tensor& value(NodeId id) {
        Tensor& own = values_[static_cast<std::size_t>(id)];
        if (own.defined()) return own;
        const Script::Line* line = graph_[id].op == Op::module_output ? this->line(id) : nullptr;
        if (never_changes(id)) line = nullptr;
        if (line != nullptr && line->action == Action::recall) return own = recalled(id, *line);
        if (line != nullptr && line->action == Action::left_out) return own = unknown(id);
        const Script::Line* around = never_changes(id) ? nullptr : this->line(id);
        EXPECT_FALSE(around != nullptr && around->action == Action::hidden);
        for (const NodeId input : graph_[id].inputs) value(input);
        if (!never_changes(id)) ++computed_;
        return own = nodes_.evaluated(id, values_);
    }

    /// Of a value that nothing needs: it shows where something does.
    Tensor unknown(NodeId id) const {
        Tensor result(graph_[id].type, graph_[id].shape);
        for (float& value : result.span<float>()) value = NAN;
        return result;
    }

    Tensor recalled(NodeId id, const Script::Line& line) {
        const Store& store = this->store(id);
        const int branch = scene_->execution.branch;
        const bool plain_output = keeps_differences(store) && base(id) < 0;
        std::vector<const Tensor*> terms;
        std::vector<float> weights = line.weights;
        if (store.rule == Store::Rule::mean) {
            for (int b = 0; b < static_cast<int>(weights.size()); ++b) {
                const auto& kept = memory_[{id, b}];
                if (kept.empty()) return unknown(id);
                terms.push_back(&kept.front());
            }
        } else {
            const auto& kept = memory_[{id, branch}];
            const std::size_t wanted = is_combination(store) && !plain_output ? weights.size() : 1;
            if (kept.size() < wanted) return unknown(id);
            for (std::size_t t = 0; t < wanted; ++t) terms.push_back(&kept[t]);
        }
        if (!is_combination(store) || plain_output) {
            const Tensor last = terms.front()->clone();
            return base(id) < 0 ? last : plus(value(base(id)), last);
        }
        Tensor sum(DType::f32, graph_[id].shape);
        for (std::size_t t = 0; t < terms.size(); ++t)
            for (std::size_t i = 0; i < sum.span<float>().size(); ++i)
                sum.span<float>()[i] += weights.at(t) * terms[t]->span<float>()[i];
        return base(id) < 0 ? sum : plus(value(base(id)), sum);
    }

    static Tensor plus(const Tensor& a, const Tensor& b, float sign = 1) {
        Tensor result(DType::f32, a.shape());
        for (std::size_t i = 0; i < result.span<float>().size(); ++i)
            result.span<float>()[i] =
                sign > 0 ? a.span<float>()[i] + b.span<float>()[i] : a.span<float>()[i] - b.span<float>()[i];
        return result;
    }

    void keep(NodeId id) {
        const Script::Line* line = graph_[id].op == Op::module_output ? this->line(id) : nullptr;
        if (line == nullptr) return;
        if (line->action != Action::keep) return;
        const Tensor made = value(id);
        const NodeId from = base(id);
        auto& kept = memory_[{id, scene_->execution.branch}];
        kept.insert(kept.begin(), from < 0 ? made.clone() : plus(made, value(from), -1));
    }

    const graph::Graph& graph_;
    const Script& script_;
    const Schedule no_rules_ = {};
    Naive nodes_;  ///< computes single nodes
    std::vector<int> unit_of_;
    /// By output and half of guidance, newest first: outputs, or what the module adds.
    std::map<std::pair<NodeId, int>, std::vector<Tensor>> memory_;
    const Script::Scene* scene_ = nullptr;
    std::vector<Tensor> values_;
    std::size_t computed_ = 0;
};

TEST(Script, FollowedNaivelyIsThePlan) {
    const auto backend = backends::create("reference");
    int followed = 0, recalled = 0, left_out = 0;
    for (unsigned seed = 0; seed < 400; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const graph::Graph graph = random_model(random);
        const int num_steps = 2 + static_cast<int>(random() % 5),
                  num_branches = 1 + static_cast<int>(seed % 2);
        Schedule schedule = random_schedule(random, graph, num_steps, num_branches, Count::steps);
        schedule.branch_rules.clear();
        for (auto& rule : schedule.rules) rule.store.kept_in.reset();
        PlanRequest request;
        for (int s = 0; s < num_steps; ++s) request.steps_of_evaluations.push_back(s);
        std::shared_ptr<const Plan> plan;
        try {
            plan = std::make_shared<const Plan>(make_plan(graph, schedule, request));
        } catch (const Error&) {
            continue;  // a mean before the other half ran, or a delta of what has no stream
        }
        const Script script = make_script(plan->extended, schedule, plan->analysis);
        Follower follower(graph, script, *backend);
        Naive naive(graph, schedule, *backend);
        std::mt19937 values(7);
        std::vector<Tensor> texts;
        for (int b = 0; b < num_branches; ++b) texts.push_back(random_inputs(values)[2]);
        for (const Script::Scene& scene : script.scenes) {
            auto inputs = random_inputs(values);
            inputs[2] = texts[static_cast<std::size_t>(scene.execution.branch)];
            const auto given = follower.run(scene, inputs), expected = naive.run(scene.execution, inputs);
            ASSERT_EQ(given.size(), expected.size());
            for (std::size_t i = 0; i < given.size(); ++i) {
                std::string what;
                for (std::size_t u = 0; u < scene.lines.size(); ++u)
                    what += script.units[u].name + " " + to_string(script.units[u].store) + " " +
                            std::to_string(int(scene.lines[u].action)) + " " +
                            std::to_string(scene.lines[u].terms) + "\n";
                ASSERT_TRUE(same_bits(given[i], expected[i]))
                    << scene.execution.evaluation << " " << scene.execution.branch << " " << i << " "
                    << given[i].span<float>()[0] << " " << expected[i].span<float>()[0] << "\n"
                    << what;
            }
            for (const auto& line : scene.lines) {
                recalled += line.action == Action::recall ? 1 : 0;
                left_out += line.action == Action::left_out ? 1 : 0;
            }
        }
        EXPECT_EQ(follower.held(), 0U);  // nothing is kept beyond the last that reads it
        EXPECT_LE(follower.computed(), naive.computed());
        ++followed;
    }
    EXPECT_GT(followed, 200);
    EXPECT_GT(recalled, 200);
    EXPECT_GT(left_out, 20);
}

}  // namespace
}  // namespace reprise::cachify::testing

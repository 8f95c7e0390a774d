#include "cachify/naive.h"

#include "cachify/combination.h"
#include "core/half.h"
#include "reprise/error.h"

namespace reprise::cachify::testing {

using graph::Graph;
using graph::ModuleId;
using graph::Node;
using graph::NodeId;
using graph::Op;

Naive::Naive(const Graph& graph, const Schedule& schedule, const backends::Backend& backend,
             const std::vector<Variant>& variants)
    : graph_(graph),
      schedule_(schedule),
      backend_(backend),
      rules_(graph.modules.size(), nullptr),
      variants_(variants) {
    for (const auto& rule : schedule_.rules) rules_[static_cast<std::size_t>(rule.module)] = &rule;
}

const Schedule::Rule* Naive::rule(ModuleId module) const {
    return rules_[static_cast<std::size_t>(module)];
}

bool Naive::is_reused(ModuleId module, const Execution& execution) const {
    const auto* own = rule(module);
    return own != nullptr && own->holds(execution.mode) &&
           own->reuse[static_cast<std::size_t>(execution.branch)]
                     [static_cast<std::size_t>(execution.decision)];
}

const Variant* Naive::variant(ModuleId module, const Execution& execution) const {
    int number = schedule_.variant(module, execution.branch, execution.decision, execution.mode);
    for (const Variant& variant : variants_)
        if (variant.module == module && number-- == 1) return &variant;
    return nullptr;
}

std::vector<Tensor> Naive::evaluate(const Variant& variant, const std::vector<Tensor>& values) {
    const Graph& body = variant.body;
    std::vector<Tensor> own(body.nodes.size());
    for (std::size_t i = 0; i < body.inputs.size(); ++i)
        own[static_cast<std::size_t>(body.inputs[i])] = values[static_cast<std::size_t>(variant.reads[i])];
    for (std::size_t n = 0; n < own.size(); ++n)
        if (body.nodes[n].op != Op::input) own[n] = evaluate(body, static_cast<NodeId>(n), own);
    std::vector<Tensor> outputs;
    for (const auto& output : body.outputs) outputs.push_back(own[static_cast<std::size_t>(output.node)]);
    return outputs;
}

Tensor Naive::evaluate(const Graph& graph, NodeId id, const std::vector<Tensor>& values) {
    const Node& node = graph[id];
    Compiled& compiled = compiled_[{&graph, id}];
    if (!compiled.request) {
        Graph single;
        single.name = graph.name;
        single.modules = graph.modules;
        Node copy = node;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            Node input;
            input.attributes =
                graph::InputAttrs{std::to_string(i), graph[node.inputs[i]].type, graph[node.inputs[i]].shape};
            graph::infer(single, input);
            single.nodes.push_back(input);
            single.inputs.push_back(static_cast<NodeId>(i));
            copy.inputs[i] = static_cast<NodeId>(i);
        }
        single.nodes.push_back(copy);
        single.outputs.push_back({"out", static_cast<NodeId>(node.inputs.size())});
        compiled.executable = backend_.compile(single, {});
        compiled.request = compiled.executable->request(*queue_);
    }
    std::vector<backends::Value> inputs;
    for (const NodeId input : node.inputs) inputs.emplace_back(values[static_cast<std::size_t>(input)]);
    std::vector<const backends::Value*> from;
    for (const auto& input : inputs) from.push_back(&input);
    backends::Value result;
    backends::Value* const to = &result;
    compiled.request->run(from, {&to, 1});
    ++computed_;
    return result.host();
}

std::optional<NodeId> Naive::taken(NodeId output) const {
    const Node& node = graph_[output];
    const auto& inputs = graph_.modules[static_cast<std::size_t>(node.module)].inputs;
    const auto index = static_cast<std::size_t>(node.attrs<graph::ModuleOutputAttrs>().index);
    if (index >= inputs.size() || graph_[inputs[index]].shape != node.shape) return std::nullopt;
    return inputs[index];
}

namespace {

template <class F>
Tensor elementwise(const Tensor& a, const Tensor& b, F function) {
    Tensor result(DType::f32, a.shape());
    for (std::size_t i = 0; i < result.span<float>().size(); ++i)
        result.span<float>()[i] = function(a.span<float>()[i], b.span<float>()[i]);
    return result;
}

/// As it comes back from being kept.
Tensor rounded(const Tensor& value, const Store& store) {
    Tensor result = value.clone();
    for (float& x : result.span<float>()) {
        if (store.kept_in == DType::f16) x = from_f16(to_f16(x));
        if (store.kept_in == DType::bf16) x = from_bf16(to_bf16(x));
    }
    return result;
}

void add_scaled(Tensor& sum, float weight, const Tensor& value) {
    for (std::size_t i = 0; i < sum.span<float>().size(); ++i)
        sum.span<float>()[i] += weight * value.span<float>()[i];
}

}  // namespace

Tensor Naive::load(const Schedule::Rule& rule, NodeId output, const Execution& execution,
                   const std::vector<Tensor>& values) {
    const Memory& last = memory(output, execution.branch);
    if (last.values.empty()) failure("module reused before it ran");
    const auto combined = [&](const std::vector<Tensor>& past) {
        std::vector<float> weights;
        if (rule.store.rule == Store::Rule::linear || rule.store.rule == Store::Rule::delta_linear) {
            const auto& all = rule.store.weights;
            for (const double weight :
                 all.size() == 1 ? all[0] : all[static_cast<std::size_t>(execution.decision)])
                weights.push_back(static_cast<float>(weight));
            if (weights.size() > past.size()) failure("module reused before it ran often enough");
        } else {
            weights = forecast_weights(last.when, execution.evaluation, rule.store.order);
        }
        Tensor sum(DType::f32, graph_[output].shape);
        for (std::size_t i = 0; i < weights.size(); ++i) add_scaled(sum, weights[i], past[i]);
        return rounded(sum, rule.store);
    };
    switch (rule.store.rule) {
        case Store::Rule::output:
            break;
        case Store::Rule::drop:
            failure("a module cannot be dropped");
        case Store::Rule::delta: {
            const auto input = taken(output);
            if (!input) break;
            return elementwise(values[static_cast<std::size_t>(*input)], last.differences.front(),
                               [](float a, float b) { return a + b; });
        }
        case Store::Rule::delta_forecast:
        case Store::Rule::delta_linear: {
            const auto input = taken(output);
            if (!input) break;
            return elementwise(values[static_cast<std::size_t>(*input)], combined(last.differences),
                               [](float a, float b) { return a + b; });
        }
        case Store::Rule::forecast:
        case Store::Rule::linear:
            return combined(last.values);
        case Store::Rule::mean: {
            Tensor sum(DType::f32, graph_[output].shape);
            for (int b = 0; b < schedule_.num_branches; ++b) {
                if (memory(output, b).values.empty()) failure("module reused before it ran");
                add_scaled(sum, 1.0F / static_cast<float>(schedule_.num_branches),
                           memory(output, b).values.front());
            }
            return rounded(sum, rule.store);
        }
    }
    return last.values.front();
}

std::vector<Tensor> Naive::run(const Execution& execution, const std::vector<Tensor>& inputs) {
    std::vector<Tensor> values(graph_.nodes.size());
    std::vector<bool> silent(graph_.modules.size(), false);    // reused, or not called
    std::vector<bool> is_called(graph_.modules.size(), true);  // what is around it runs, in variant 0
    std::vector<const Variant*> variants(graph_.modules.size(), nullptr);
    std::map<ModuleId, std::vector<Tensor>> outputs_of;  // of modules that run in a variant
    for (std::size_t m = 1; m < graph_.modules.size(); ++m) {
        const auto parent = static_cast<std::size_t>(graph_.modules[m].parent);
        const auto module = static_cast<ModuleId>(m);
        is_called[m] = !silent[parent] && variants[parent] == nullptr;
        silent[m] = !is_called[m] || is_reused(module, execution);
        if (!silent[m]) variants[m] = variant(module, execution);
    }
    std::size_t next_input = 0;
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
        const auto id = static_cast<NodeId>(n);
        const Node& node = graph_.nodes[n];
        if (node.op == Op::input) {
            values[n] = inputs.at(next_input++);
            continue;
        }
        const auto module = static_cast<std::size_t>(node.module);
        if (silent[module]) {
            if (node.op == Op::module_output && is_called[module])
                values[n] = load(*rule(node.module), id, execution, values);
            continue;
        }
        if (variants[module] != nullptr) {
            if (node.op != Op::module_output) continue;
            auto& outputs = outputs_of[node.module];
            if (outputs.empty()) outputs = evaluate(*variants[module], values);
            values[n] = outputs[static_cast<std::size_t>(node.attrs<graph::ModuleOutputAttrs>().index)];
        } else {
            values[n] = evaluate(graph_, id, values);
        }
        if (node.op != Op::module_output || rule(node.module) == nullptr) continue;
        Memory& own = memory(id, execution.branch);
        const Store& store = rule(node.module)->store;
        own.values.insert(own.values.begin(), rounded(values[n], store));
        own.when.insert(own.when.begin(), execution.evaluation);
        if (const auto input = taken(id))
            own.differences.insert(own.differences.begin(),
                                   rounded(elementwise(values[n], values[static_cast<std::size_t>(*input)],
                                                       [](float a, float b) { return a - b; }),
                                           store));
    }
    values_ = values;
    std::vector<Tensor> outputs;
    for (const auto& output : graph_.outputs)
        outputs.push_back(values[static_cast<std::size_t>(output.node)]);
    return outputs;
}

}  // namespace reprise::cachify::testing

#include "backends/support.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <random>

#include "backends/elsewhere_backend.h"
#include "reprise/error.h"

namespace reprise::test {

using graph::Graph;
using graph::Op;

Tensor random_tensor(const Shape& shape, unsigned seed) {
    std::mt19937 engine(seed);
    Tensor tensor(DType::f32, shape);
    for (float& value : tensor.span<float>())
        value = static_cast<float>(engine()) * 0x1p-31F - 1.0F;  // portable, unlike std's distributions
    return tensor;
}

void fill_constants(Graph& graph) {
    unsigned seed = 1;
    for (auto& node : graph.nodes) {
        if (node.op != Op::constant) continue;
        auto& attrs = std::get<graph::ConstantAttrs>(node.attributes);
        if (!attrs.value.defined()) attrs.value = random_tensor(attrs.shape, seed).to(attrs.type);
        ++seed;
    }
}

std::vector<Tensor> random_inputs(const Graph& graph, std::int64_t rows) {
    std::vector<Tensor> inputs;
    unsigned seed = 1000;
    for (const auto id : graph.inputs) {
        const auto& node = graph[id];
        if (node.type == DType::i64) {
            std::mt19937 engine(seed++);
            Tensor ids(DType::i64, node.shape);
            for (auto& value : ids.span<std::int64_t>()) value = static_cast<std::int64_t>(engine()) % rows;
            inputs.push_back(ids);
        } else {
            inputs.push_back(random_tensor(node.shape, seed++).to(node.type));
        }
    }
    return inputs;
}

void Runner::run(const std::vector<backends::Value>& inputs, std::vector<backends::Value>& outputs) {
    std::vector<const backends::Value*> from;
    std::vector<backends::Value*> to;
    for (const auto& input : inputs) from.push_back(&input);
    for (auto& output : outputs) to.push_back(&output);
    request_->run(from, to);
}

std::vector<Tensor> Runner::operator()(const std::vector<Tensor>& inputs, std::size_t num_outputs) {
    std::vector<backends::Value> values, results(num_outputs);
    for (const Tensor& input : inputs) values.push_back(queue_->from_host(input));
    run(values, results);
    std::vector<Tensor> outputs;
    for (const auto& result : results) outputs.push_back(queue_->to_host(result));
    return outputs;
}

std::vector<std::string> all_backends() {
    auto names = backends::available();
    names.emplace_back("elsewhere");
    return names;
}

std::vector<Tensor> run(const backends::Backend& backend, const Graph& graph,
                        const std::vector<Tensor>& inputs, DType precision) {
    const auto executable = backend.compile(graph, {.precision = precision});
    return Runner(backend, *executable)(inputs, graph.outputs.size());
}

double relative_error(const Tensor& a, const Tensor& b) {
    if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
    if (a.type() == DType::i64) return std::memcmp(a.data(), b.data(), a.bytes()) == 0 ? 0 : 1;
    const Tensor wide_a = a.to(DType::f32), wide_b = b.to(DType::f32);
    const auto values_a = wide_a.span<float>(), values_b = wide_b.span<float>();
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < values_a.size(); ++i) {
        const double distance = std::abs(static_cast<double>(values_a[i]) - values_b[i]);
        if (std::isnan(distance)) return std::numeric_limits<double>::infinity();
        difference = std::max(difference, distance);
        largest = std::max(largest, std::abs(static_cast<double>(values_b[i])));
    }
    return difference == 0 ? 0 : difference / largest;
}

std::shared_ptr<backends::Backend> make_backend(const std::string& name) {
    if (name == "elsewhere") return std::make_shared<testing::ElsewhereBackend>();
    return backends::create(name);
}

std::shared_ptr<backends::Backend> backend_named(const std::string& name) {
    static std::map<std::string, std::shared_ptr<backends::Backend>> made;  // tests run one after another
    auto& backend = made[name];
    if (!backend) backend = make_backend(name);
    return backend;
}

bool computes_in(const backends::Backend& backend, DType precision) {
    try {
        backend.check_precision("CPU", precision);
        return true;
    } catch (const Error&) {
        return false;
    }
}

bool trips_on_isa_limit(const Graph& graph) {
    return std::getenv("ONEDNN_MAX_CPU_ISA") != nullptr &&
           std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const graph::Node& node) {
               return node.op == Op::layer_norm && node.shape.back() % 16 != 0;
           });
}

}  // namespace reprise::test

#include "graph/builder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "reprise/error.h"

namespace reprise::graph {

namespace {

std::string joined(std::string_view outer, std::string_view name) {
    if (outer.empty()) return std::string(name);
    return name.empty() ? std::string(outer) : fmt::format("{}.{}", outer, name);
}

bool excused(std::string_view name, const std::vector<std::string>& ignored) {
    return std::any_of(ignored.begin(), ignored.end(), [&](const std::string& pattern) {
        if (pattern.ends_with('*'))
            return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
        return name == pattern;
    });
}

/// The shape without the ones at its end that go beyond `rank` dimensions.
Shape without_trailing_ones(Shape shape, std::size_t rank) {
    while (shape.size() > rank && shape.back() == 1) shape.pop_back();
    return shape;
}

}  // namespace

Shape Value::shape() const {
    return builder_->graph_[id_].shape;
}

std::int64_t Value::dim(std::int64_t axis) const {
    const Shape& shape = builder_->graph_[id_].shape;
    return shape.at(
        static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis));
}

Value operator+(Value a, Value b) {
    return a.builder().binary(a, b, Binary::add);
}
Value operator-(Value a, Value b) {
    return a.builder().binary(a, b, Binary::subtract);
}
Value operator*(Value a, Value b) {
    return a.builder().binary(a, b, Binary::multiply);
}
Value operator/(Value a, Value b) {
    return a.builder().binary(a, b, Binary::divide);
}
Value operator*(Value a, float scale) {
    return a.builder().affine(a, scale, 0);
}
Value operator+(Value a, float shift) {
    return a.builder().affine(a, 1, shift);
}

ModuleScope::ModuleScope(Builder& builder, ModuleId module)
    : builder_(builder), module_(module), outer_(builder.current_) {
    builder_.current_ = module;
}

ModuleScope::~ModuleScope() {
    builder_.current_ = outer_;
}

void ModuleScope::takes(std::initializer_list<Value> inputs) {
    auto& module = builder_.graph_.modules[static_cast<std::size_t>(module_)];
    for (const Value input : inputs) module.inputs.push_back(input.id());
}

Value ModuleScope::returns(Value output) {
    const auto index =
        static_cast<std::int64_t>(builder_.graph_.modules[static_cast<std::size_t>(module_)].outputs.size());
    const Value result = builder_.add(Op::module_output, {output}, ModuleOutputAttrs{index});
    builder_.graph_.modules[static_cast<std::size_t>(module_)].outputs.push_back(result.id());
    return result;
}

Builder::Builder(std::string graph_name, DType precision, const WeightSource* weights)
    : precision_(precision), sources_{{"", {weights}}} {
    graph_.name = std::move(graph_name);
    graph_.modules.emplace_back();
    graph_.modules[0].invocations = 1;
}

ModuleScope Builder::module(std::string_view path, ModuleKind kind) {
    const std::string name = full_name(path);
    ModuleId id = graph_.find_module(name);
    if (id < 0) {
        id = static_cast<ModuleId>(graph_.modules.size());
        graph_.modules.push_back({name, kind, current_, {}, {}, 0, current().part});
    }
    ++graph_.modules[static_cast<std::size_t>(id)].invocations;
    return {*this, id};
}

ModuleScope Builder::part(const std::string& name, const WeightSource* weights) {
    if (current_ != 0) failure("{}: part '{}' begins inside of '{}'", graph_.name, name, full_name(""));
    sources_.try_emplace(name, Source{weights});
    if (graph_.find_module(name) < 0)
        graph_.modules.push_back({name, ModuleKind::other, current_, {}, {}, 0, name});
    return module(name);
}

std::string Builder::full_name(std::string_view name) const {
    return joined(current().name, name);
}

std::string_view Builder::name_in_source(std::string_view full_name) const {
    const std::string& part = current().part;
    return part.empty() ? full_name : full_name.substr(part.size() + 1);
}

Value Builder::add(Op op, std::initializer_list<Value> inputs, Attributes attributes) {
    return add(op, std::vector<Value>(inputs), std::move(attributes));
}

Value Builder::add(Op op, const std::vector<Value>& inputs, Attributes attributes) {
    Node node;
    node.op = op;
    node.module = current_;
    node.attributes = std::move(attributes);
    for (const Value input : inputs) {
        if (!input.defined() || &input.builder() != this)
            failure("{}: {} in '{}' reads an undefined value or one of another graph", graph_.name,
                    name_of(op), full_name(""));
        node.inputs.push_back(input.id());
    }
    infer(graph_, node);
    graph_.nodes.push_back(std::move(node));
    return {this, static_cast<NodeId>(graph_.nodes.size() - 1)};
}

Value Builder::input(std::string name, Shape shape, DType type) {
    return input(InputAttrs{std::move(name), type, std::move(shape)});
}

Value Builder::input(InputAttrs declared) {
    const Value value = add(Op::input, std::vector<Value>{}, std::move(declared));
    graph_.inputs.push_back(value.id());
    return value;
}

Value Builder::real_input(std::string name, Shape shape) {
    return convert(input(std::move(name), std::move(shape), DType::f32), precision_);
}

std::map<std::string, Value, std::less<>> Builder::real_inputs(const std::vector<InputAttrs>& declared) {
    std::map<std::string, Value, std::less<>> result;
    for (const InputAttrs& each : declared) result.emplace(each.name, convert(input(each), precision_));
    return result;
}

void Builder::output(std::string name, Value value) {
    graph_.outputs.push_back({std::move(name), value.id()});
}

Value Builder::weight(std::string_view name, Shape shape) {
    const std::string key = full_name(name);
    if (const auto known = constants_.find(key); known != constants_.end()) {
        const Value value(this, known->second);
        if (value.shape() != shape)
            failure("{}: weight '{}' is read as {} and as {}", graph_.name, key, to_string(value.shape()),
                    to_string(shape));
        return value;
    }
    Tensor tensor;
    if (source().weights != nullptr) {
        const Weight found = read(key, shape);
        if (!found.is_plain())
            usage_error("{}: weight {} is {}; only linear layers and convolutions can have such a weight",
                        source().weights->description(), quoted(*source().weights, name_in_source(key)),
                        kind_of(found));
        tensor = std::get<Tensor>(found.values);
    }
    return weight_constant(key, std::move(shape), tensor, key);
}

Weight Builder::read(const std::string& key, const Shape& shape) {
    const WeightSource& weights = *source().weights;
    const std::string_view own = name_in_source(key);
    auto found = weights.weight(own);
    if (!found)
        usage_error(
            "{}: weight '{}' of shape {} is missing; is this folder complete and of this architecture?",
            weights.description(), own, to_string(shape));
    if (without_trailing_ones(found->shape(), shape.size()) != shape)
        usage_error("{}: weight {} has shape {}, but config.json asks for {}", weights.description(),
                    quoted(weights, own), to_string(found->shape()), to_string(shape));
    if (const auto* plain = std::get_if<Tensor>(&found->values);
        plain != nullptr && !is_floating(plain->type()))
        usage_error("{}: weight {} holds {}, expected a floating type", weights.description(),
                    quoted(weights, own), name_of(plain->type()));
    source().used.emplace(own);
    return std::move(*found);
}

Value Builder::weight_constant(const std::string& key, Shape shape, const Tensor& value,
                               const std::string& of) {
    ConstantAttrs attrs{key, {}, precision_, std::move(shape)};
    if (const WeightSource* weights = source().weights; weights != nullptr) {
        attrs.value = value.to(precision_).reshaped(attrs.shape);
        attrs.source = weights->identity(name_in_source(of));
    }
    const Value constant = add(Op::constant, std::vector<Value>{}, std::move(attrs));
    constants_.emplace(key, constant.id());
    return constant;
}

Value Builder::layer_weight(Shape shape, std::vector<LowRank>& low_rank) {
    const std::string key = full_name("weight");
    if (source().weights == nullptr) return weight("weight", std::move(shape));
    Weight found = read(key, shape);
    low_rank = std::move(found.low_rank);
    if (constants_.contains(key)) return weight("weight", std::move(shape));  // of another invocation
    const auto* packed = std::get_if<PackedWeight>(&found.values);
    return weight_constant(key, std::move(shape),
                           packed != nullptr ? unpacked(*packed) : std::get<Tensor>(found.values), key);
}

/// A matrix of a low-rank pair, as a layer of a weight of this rank has it.
Value Builder::narrow_weight(std::string_view name, const Tensor& value, std::size_t rank) {
    const std::string key = full_name(name);
    if (const auto known = constants_.find(key); known != constants_.end()) return {this, known->second};
    Shape shape = without_trailing_ones(value.shape(), rank);
    shape.resize(std::max(rank, shape.size()), 1);
    return weight_constant(key, std::move(shape), value, full_name("weight"));
}

Value Builder::constant(std::string name, Tensor value) {
    if (is_floating(value.type())) value = value.to(precision_);
    const DType type = value.type();
    Shape shape = value.shape();
    return add(Op::constant, std::vector<Value>{},
               ConstantAttrs{std::move(name), std::move(value), type, std::move(shape), true});
}

Value Builder::convert(Value x, DType type) {
    return graph_[x.id()].type == type ? x : add(Op::convert, {x}, ConvertAttrs{type});
}

Value Builder::linear(Value x, std::string_view name, std::int64_t out_features, bool bias) {
    const auto layer = module(name);
    std::vector<LowRank> low_rank;
    std::vector<Value> inputs = {x, layer_weight({out_features, x.dim(-1)}, low_rank)};
    if (bias) inputs.push_back(weight("bias", {out_features}));
    Value y = add(Op::linear, inputs, {});
    for (std::size_t i = 0; i < low_rank.size(); ++i) {
        const Value down = narrow_weight(fmt::format("low_rank.{}.down", i), low_rank[i].down, 2);
        const Value up = narrow_weight(fmt::format("low_rank.{}.up", i), low_rank[i].up, 2);
        y = y + add(Op::linear, {add(Op::linear, {x, down}, {}), up}, {}) * low_rank[i].strength;
    }
    return y;
}

Value Builder::convolution(Value x, std::string_view name, const Convolution& options) {
    const auto layer = module(name);
    Shape weight_shape = {options.out_channels, x.dim(1)};
    weight_shape.insert(weight_shape.end(), options.kernel.begin(), options.kernel.end());
    const std::size_t rank = weight_shape.size();
    std::vector<LowRank> low_rank;
    std::vector<Value> inputs = {x, layer_weight(std::move(weight_shape), low_rank)};
    if (options.bias) inputs.push_back(weight("bias", {options.out_channels}));
    ConvolutionAttrs attrs;
    attrs.stride =
        options.stride.empty() ? std::vector<std::int64_t>(options.kernel.size(), 1) : options.stride;
    attrs.pad_begin =
        options.padding.empty() ? std::vector<std::int64_t>(options.kernel.size(), 0) : options.padding;
    attrs.pad_end = attrs.pad_begin;
    Value y = add(Op::convolution, inputs, attrs);
    ConvolutionAttrs pointwise;
    pointwise.stride.assign(options.kernel.size(), 1);
    pointwise.pad_begin = pointwise.pad_end = std::vector<std::int64_t>(options.kernel.size(), 0);
    for (std::size_t i = 0; i < low_rank.size(); ++i) {
        const Value down = narrow_weight(fmt::format("low_rank.{}.down", i), low_rank[i].down, rank);
        const Value up = narrow_weight(fmt::format("low_rank.{}.up", i), low_rank[i].up, rank);
        const Value narrow = add(Op::convolution, {x, down}, attrs);
        y = y + add(Op::convolution, {narrow, up}, pointwise) * low_rank[i].strength;
    }
    return y;
}

Value Builder::conv2d(Value x, std::string_view name, std::int64_t out_channels, std::int64_t kernel,
                      std::int64_t stride, std::int64_t padding) {
    if (padding < 0) padding = kernel / 2;
    return convolution(x, name, {out_channels, {kernel, kernel}, {stride, stride}, {padding, padding}, true});
}

Value Builder::group_norm(Value x, std::string_view name, std::int64_t groups, float epsilon) {
    const auto layer = module(name);
    const auto channels = x.dim(1);
    return add(Op::group_norm, {x, weight("weight", {channels}), weight("bias", {channels})},
               NormAttrs{groups, epsilon});
}

Value Builder::layer_norm(Value x, std::string_view name, float epsilon, bool affine) {
    const auto layer = module(name);
    std::vector<Value> inputs = {x};
    if (affine) {
        inputs.push_back(weight("weight", {x.dim(-1)}));
        inputs.push_back(weight("bias", {x.dim(-1)}));
    }
    return add(Op::layer_norm, inputs, NormAttrs{1, epsilon});
}

Value Builder::rms_norm(Value x, std::string_view name, float epsilon, bool affine) {
    const auto layer = module(name);
    std::vector<Value> inputs = {x};
    if (affine) inputs.push_back(weight("weight", {x.dim(-1)}));
    return add(Op::rms_norm, inputs, NormAttrs{1, epsilon});
}

Value Builder::embedding(Value ids, std::string_view name, std::int64_t count, std::int64_t width) {
    const auto layer = module(name);
    return gather(weight("weight", {count, width}), ids);
}

Value Builder::unary(Value x, Unary function) {
    return add(Op::unary, {x}, UnaryAttrs{function});
}
Value Builder::binary(Value a, Value b, Binary function) {
    return add(Op::binary, {a, b}, BinaryAttrs{function});
}
Value Builder::affine(Value x, float scale, float shift) {
    return add(Op::affine, {x}, AffineAttrs{scale, shift});
}

Value Builder::attention(Value q, Value k, Value v, const Attention& options) {
    std::vector<Value> inputs = {q, k, v};
    if (options.bias.defined()) inputs.push_back(options.bias);
    const float width = static_cast<float>(q.dim(-1)) / static_cast<float>(options.heads);
    return add(
        Op::attention, inputs,
        AttentionAttrs{options.heads, options.scale.value_or(1.0F / std::sqrt(width)), options.causal});
}

Value Builder::softmax(Value x, std::int64_t axis) {
    if (axis < 0) axis += static_cast<std::int64_t>(x.shape().size());
    return add(Op::softmax, {x}, AxisAttrs{axis});
}

Value Builder::concat(const std::vector<Value>& values, std::int64_t axis) {
    if (axis < 0) axis += static_cast<std::int64_t>(values.at(0).shape().size());
    return add(Op::concat, values, AxisAttrs{axis});
}

Value Builder::slice(Value x, std::int64_t axis, std::int64_t begin, std::int64_t end) {
    if (axis < 0) axis += static_cast<std::int64_t>(x.shape().size());
    return add(Op::slice, {x}, SliceAttrs{axis, begin, end});
}

std::vector<Value> Builder::split(Value x, std::int64_t parts, std::int64_t axis) {
    const auto size = x.dim(axis) / parts;
    std::vector<Value> result;
    for (std::int64_t i = 0; i < parts; ++i) result.push_back(slice(x, axis, i * size, (i + 1) * size));
    return result;
}

Value Builder::repeat(Value x, std::int64_t axis, std::int64_t times) {
    return times == 1 ? x : add(Op::repeat, {x}, RepeatAttrs{axis, times});
}

Value Builder::reshape(Value x, Shape shape) {
    std::int64_t known = 1;
    for (const auto size : shape) known *= size < 0 ? 1 : size;
    for (auto& size : shape)
        if (size < 0) size = known == 0 ? 0 : element_count(x.shape()) / known;
    return add(Op::reshape, {x}, ShapeAttrs{std::move(shape)});
}

Value Builder::transpose(Value x, std::vector<std::int64_t> permutation) {
    return add(Op::transpose, {x}, TransposeAttrs{std::move(permutation)});
}

Value Builder::pad(Value x, std::vector<std::int64_t> begin, std::vector<std::int64_t> end) {
    return add(Op::pad, {x}, PadAttrs{std::move(begin), std::move(end)});
}

Value Builder::upsample_nearest(Value x, std::int64_t height, std::int64_t width) {
    return add(Op::upsample_nearest, {x}, UpsampleAttrs{height, width});
}

Value Builder::gather(Value table, Value ids) {
    return add(Op::gather, {table, ids}, {});
}

void Builder::warn_of_left_over(const Source& source, const std::vector<std::string>& ignored) {
    if (source.weights == nullptr) return;
    std::vector<std::string> left_over;
    for (const auto& name : source.weights->names())
        if (!source.used.contains(name) && !excused(name, ignored) &&
            source.weights->shape(name) != Shape{})  // scalars are no weights of any model
            left_over.push_back(name);
    if (!left_over.empty() && source.weights->is_first_look())
        spdlog::warn("{}: {} weight{} left over that config.json does not account for, such as '{}'",
                     source.weights->description(), left_over.size(), left_over.size() == 1 ? " is" : "s are",
                     left_over.front());
}

Graph Builder::finish(const std::vector<std::string>& ignored) {
    for (const auto& [part, source] : sources_) warn_of_left_over(source, ignored);
    Graph result = std::move(graph_);
    graph_ = {};
    return result;
}

}  // namespace reprise::graph

#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/weight_source.h"
#include "graph/graph.h"

namespace reprise::graph {

class Builder;

/// A cheap handle on a node while its graph is built. Arithmetic broadcasts as NumPy does.
class Value {
  public:
    Value() = default;
    Value(Builder* builder, NodeId id) : builder_(builder), id_(id) {}
    bool defined() const { return builder_ != nullptr; }
    NodeId id() const { return id_; }
    Builder& builder() const { return *builder_; }
    /// By value: the node may move when the graph grows.
    Shape shape() const;
    /// Size of an axis; negative axes count from the end.
    std::int64_t dim(std::int64_t axis) const;

  private:
    Builder* builder_ = nullptr;
    NodeId id_ = -1;
};

Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value operator*(Value a, float scale);
Value operator+(Value a, float shift);

/// A module that is being described: opened by Builder::module, closed at the end of its C++ scope.
class ModuleScope {
  public:
    ModuleScope(Builder& builder, ModuleId module);
    ~ModuleScope();
    ModuleScope(const ModuleScope&) = delete;
    ModuleScope& operator=(const ModuleScope&) = delete;

    /// Declares the stream that output i transforms, in order of i; what the delta store rule subtracts.
    void takes(std::initializer_list<Value> inputs);
    /// Marks a module's output; call once per output, in order. Later readers use the returned value.
    Value returns(Value output);

  private:
    Builder& builder_;
    ModuleId module_;
    ModuleId outer_;
};

/// Makes a graph, in one precision, from layers. Weights are asked from a source under
/// "<module path>.<name>"; without a source the graph has shapes only. Each part has a source of its own.
class Builder {
  public:
    /// `weights` may be null (structure only) and must outlive the builder. Floating weights are converted to
    /// `precision` where they are in another type.
    Builder(std::string graph_name, DType precision, const WeightSource* weights);

    DType precision() const { return precision_; }

    /// Opens a module inside the current one. `path` may have several parts: "resnets.0". Opening the same
    /// path again counts as another invocation.
    ModuleScope module(std::string_view path, ModuleKind kind = ModuleKind::other);
    /// Opens a part, such as "control.0": a network beside the denoiser's own, with modules and weights of
    /// its own. In the graph their names begin with the part's; `weights`, as above, has them without it.
    /// Error (failure) inside of a module.
    ModuleScope part(const std::string& name, const WeightSource* weights);
    /// Full name of a weight or module called `name` in the current module.
    std::string full_name(std::string_view name) const;

    /// A value from outside, of its own type (host data is f32 or i64).
    Value input(std::string name, Shape shape, DType type = DType::f32);
    Value input(InputAttrs declared);
    /// An f32 host input converted to the graph's precision.
    Value real_input(std::string name, Shape shape);
    /// The same as declared, in that order, by name.
    std::map<std::string, Value, std::less<>> real_inputs(const std::vector<InputAttrs>& declared);
    void output(std::string name, Value value);

    /// The weight `name` of the current module, of exactly this shape (trailing dimensions of size 1 in the
    /// file are accepted: a 1x1 convolution's weight as a linear one). Error (usage) when missing or
    /// misshapen, or not plain: only `linear` and `convolution` unfold weights that are packed or have
    /// low-rank pairs beside them. Packed ones become constants of the graph's precision; a pair becomes two
    /// narrow layers, whose result is added.
    Value weight(std::string_view name, Shape shape);
    /// A constant that is not from the checkpoint (computed tables), f32 or i64.
    Value constant(std::string name, Tensor value);

    Value convert(Value x, DType type);
    /// `name` is the layer's name in the current module: weights "<name>.weight" and, if `bias`,
    /// "<name>.bias".
    Value linear(Value x, std::string_view name, std::int64_t out_features, bool bias = true);
    struct Convolution {
        std::int64_t out_channels = 0;
        std::vector<std::int64_t> kernel;   ///< two or three sizes
        std::vector<std::int64_t> stride;   ///< empty: ones
        std::vector<std::int64_t> padding;  ///< empty: zeros; the same before and after
        bool bias = true;
    };
    Value convolution(Value x, std::string_view name, const Convolution& options);
    /// The usual k x k convolution with padding k / 2.
    Value conv2d(Value x, std::string_view name, std::int64_t out_channels, std::int64_t kernel,
                 std::int64_t stride = 1, std::int64_t padding = -1);
    Value group_norm(Value x, std::string_view name, std::int64_t groups, float epsilon);
    /// With `affine`, reads "<name>.weight" and "<name>.bias".
    Value layer_norm(Value x, std::string_view name, float epsilon, bool affine = true);
    Value rms_norm(Value x, std::string_view name, float epsilon, bool affine = true);
    /// Rows of the embedding table "<name>.weight" (count, width) by ids.
    Value embedding(Value ids, std::string_view name, std::int64_t count, std::int64_t width);

    Value unary(Value x, Unary function);
    Value silu(Value x) { return unary(x, Unary::silu); }
    Value gelu(Value x) { return unary(x, Unary::gelu); }
    Value binary(Value a, Value b, Binary function);
    Value affine(Value x, float scale, float shift);
    struct Attention {
        std::int64_t heads = 1;
        std::optional<float> scale;  ///< default 1/sqrt(head width)
        bool causal = false;
        Value bias;  ///< optional, broadcast to (B, H, Lq, Lk), added to the scores
    };
    Value attention(Value q, Value k, Value v, const Attention& options);
    Value softmax(Value x, std::int64_t axis);
    Value concat(const std::vector<Value>& values, std::int64_t axis);
    Value slice(Value x, std::int64_t axis, std::int64_t begin, std::int64_t end);
    /// Equal parts along an axis.
    std::vector<Value> split(Value x, std::int64_t parts, std::int64_t axis);
    Value repeat(Value x, std::int64_t axis, std::int64_t times);
    /// One size may be -1.
    Value reshape(Value x, Shape shape);
    Value transpose(Value x, std::vector<std::int64_t> permutation);
    Value pad(Value x, std::vector<std::int64_t> begin, std::vector<std::int64_t> end);
    Value upsample_nearest(Value x, std::int64_t height, std::int64_t width);
    Value gather(Value table, Value ids);

    const Graph& graph() const { return graph_; }
    /// The finished graph; the builder is empty afterwards. Warns, once for a source, of weights that the
    /// graph did not use and `ignored` does not excuse (full names; a trailing '*' matches any rest).
    Graph finish(const std::vector<std::string>& ignored = {});

  private:
    friend class ModuleScope;
    friend class Value;
    Value add(Op op, std::initializer_list<Value> inputs, Attributes attributes);
    Value add(Op op, const std::vector<Value>& inputs, Attributes attributes);
    /// The weight of that full name from the source. Error (usage) when it is missing or misshapen.
    Weight read(const std::string& key, const Shape& shape);
    /// A constant that is made of the weight of the name `of`.
    Value weight_constant(const std::string& key, Shape shape, const Tensor& value, const std::string& of);
    /// The weight "weight" of the current module, whatever it is; what is beside it is appended to
    /// `low_rank`.
    Value layer_weight(Shape shape, std::vector<LowRank>& low_rank);
    Value narrow_weight(std::string_view name, const Tensor& value, std::size_t rank);

    /// Where the weights of a part come from, and which were asked for.
    struct Source {
        const WeightSource* weights = nullptr;
        std::set<std::string, std::less<>> used = {};
    };
    const Module& current() const { return graph_.modules[static_cast<std::size_t>(current_)]; }
    Source& source() { return sources_.at(current().part); }
    /// The name in the source of the current part.
    std::string_view name_in_source(std::string_view full_name) const;
    static void warn_of_left_over(const Source& source, const std::vector<std::string>& ignored);

    Graph graph_;
    DType precision_;
    std::map<std::string, Source, std::less<>> sources_;  ///< by part; "" is the denoiser's own
    ModuleId current_ = 0;
    std::map<std::string, NodeId, std::less<>> constants_;  ///< one node per weight, however often it is read
};

}  // namespace reprise::graph

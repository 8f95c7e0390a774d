#include "graph/outline.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace reprise::graph {

namespace {

using Skip = Outline::Skip;

/// What a value is to later units: output `second` of unit `first`, or with -1 the stream that begins at node
/// `second`.
using Origin = std::pair<int, int>;
constexpr int kOutside = -1, kInner = -1;

std::size_t index(std::int32_t id) {
    return static_cast<std::size_t>(id);
}

class Reader {
  public:
    explicit Reader(const Graph& graph)
        : graph_(graph),
          unit_of_(graph.modules.size(), kOutside),
          layer_of_(graph.modules.size(), -1),
          origins_(graph.nodes.size()) {}

    Outline read() {
        find_units();
        if (graph_.nodes.empty()) return std::move(outline_);  // a list of modules alone
        find_ends_of_layers();
        find_origins();
        for (std::size_t u = 0; u < outline_.units.size(); ++u) follow_streams(static_cast<int>(u));
        return std::move(outline_);
    }

  private:
    struct Read {
        NodeId value, reader;
    };

    const Module& module(int unit) const { return graph_.modules[index(modules_[index(unit)])]; }
    int unit_of(NodeId id) const { return unit_of_[index(graph_[id].module)]; }

    void find_units() {
        for (std::size_t m = 1; m < graph_.modules.size(); ++m) {
            const Module& module = graph_.modules[m];
            const auto above = index(module.parent);
            unit_of_[m] = unit_of_[above];
            layer_of_[m] = layer_of_[above];
            if (module.outputs.empty() || layer_of_[m] >= 0) continue;
            if (unit_of_[m] >= 0) {
                auto& layers = outline_.units[index(unit_of_[m])].layers;
                layer_of_[m] = static_cast<int>(layers.size());
                layers.push_back({module.name, module.kind});
            } else if (module.kind == ModuleKind::block) {
                unit_of_[m] = static_cast<int>(outline_.units.size());
                outline_.units.push_back({module.name, stack_of(module.name), module.kind});
                outline_.units.back().part = module.part;
                modules_.push_back(static_cast<ModuleId>(m));
            }
        }
        reads_.resize(modules_.size());
    }

    void find_ends_of_layers() {
        for (const auto& unit : outline_.units) ends_.emplace_back(unit.layers.size(), NodeId{-1});
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const auto m = index(graph_.nodes[n].module);
            if (layer_of_[m] >= 0) ends_[index(unit_of_[m])][index(layer_of_[m])] = static_cast<NodeId>(n);
        }
    }

    /// How many of a unit's layers end before that node, or with it.
    int layers_until(int unit, NodeId id) const {
        const auto& ends = ends_[index(unit)];
        return static_cast<int>(
            std::count_if(ends.begin(), ends.end(), [&](NodeId end) { return end <= id; }));
    }

    /// Of every value outside of units where it comes from, and what units read from outside.
    void find_origins() {
        std::map<NodeId, std::string> taken;  // and by which part; by the denoiser's own if by that
        for (const ModuleId id : modules_)
            for (const NodeId input : graph_.modules[index(id)].inputs) {
                auto& part = taken.try_emplace(input, graph_.modules[index(id)].part).first->second;
                if (graph_.modules[index(id)].part.empty()) part.clear();
            }
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const auto id = static_cast<NodeId>(n);
            const int unit = unit_of(id);
            for (const NodeId input : graph_.nodes[n].inputs) {
                if (unit == kOutside)
                    origins_[n].insert(origins_[index(input)].begin(), origins_[index(input)].end());
                else if (unit_of(input) != unit)
                    reads_[index(unit)].push_back({input, id});
            }
            if (unit == kOutside && origins_[n].empty() && taken.contains(id)) {
                origins_[n] = {{kOutside, id}};
                begun_[id] = begin_stream({kOutside, id}, taken.at(id));
            }
            if (unit == kOutside || graph_.nodes[n].op == Op::constant) continue;
            const auto& outputs = module(unit).outputs;
            const auto output = std::find(outputs.begin(), outputs.end(), id);
            origins_[n] = {
                {unit, output == outputs.end() ? kInner : static_cast<int>(output - outputs.begin())}};
        }
    }

    int begin_stream(Origin origin, const std::string& part) {
        newest_.emplace_back(origin, part);
        return static_cast<int>(newest_.size()) - 1;
    }

    /// The part's stream whose newest value that is; -1 for none.
    int stream_at(Origin origin, const std::string& part) const {
        const auto found = std::find(newest_.begin(), newest_.end(), std::pair(origin, part));
        return found == newest_.end() ? -1 : static_cast<int>(found - newest_.begin());
    }

    /// The stream that a unit takes with this value. What joins several, or is older than the newest of its
    /// stream, begins another.
    int stream_of(NodeId value, int unit) {
        const auto origins = own_origins(value, unit);
        const bool own = unit_of(value) == unit;
        if (!own && origins.size() == 1)
            if (const int stream = stream_at(*origins.begin(), module(unit).part); stream >= 0) return stream;
        return begin_stream({unit, kInner}, module(unit).part);
    }

    /// The origins of a value that are not of other parts than the unit's, if there are some: what another
    /// part adds to a stream does not end it.
    std::set<Origin> own_origins(NodeId value, int unit) const {
        const auto& all = origins_[index(value)];
        std::set<Origin> own = all;
        std::erase_if(own, [&](const Origin& origin) {
            return origin.first != kOutside && module(origin.first).part != module(unit).part;
        });
        return own.empty() ? all : own;
    }

    bool is_taken_after(int unit, Origin origin) const {
        for (int later = unit + 1; later < static_cast<int>(modules_.size()); ++later)
            for (const NodeId input : module(later).inputs)
                if (unit_of(input) != later && origins_[index(input)].contains(origin)) return true;
        return false;
    }

    void follow_streams(int u) {
        auto& unit = outline_.units[index(u)];
        const Module& own = module(u);
        read_skips(u);
        std::map<NodeId, int> streams;  // by the value that is taken
        for (const NodeId input : own.inputs) {
            if (streams.contains(input)) continue;
            const int stream = streams[input] = stream_of(input, u);
            unit.takes.push_back(stream);
        }
        std::set<int> continued;
        for (std::size_t o = 0; o < own.outputs.size(); ++o) {
            const Origin origin = {u, static_cast<int>(o)};
            const bool transforms = o < own.inputs.size();
            unit.residual.push_back(transforms &&
                                    graph_[own.inputs[o]].shape == graph_[own.outputs[o]].shape);
            int stream = -1;
            if (transforms && continued.insert(streams.at(own.inputs[o])).second) {
                stream = streams.at(own.inputs[o]);
                newest_[index(stream)].first = origin;
            } else if (is_taken_after(u, origin)) {
                stream = begin_stream(origin, own.part);
            }
            unit.gives.push_back(stream);
        }
    }

    void read_skips(int u) {
        std::set<Origin> known;
        for (const auto& [value, reader] : reads_[index(u)])
            for (const Origin& origin : origins_[index(value)]) {
                if (stream_at(origin, module(u).part) >= 0 || !known.insert(origin).second) continue;
                outline_.skips.push_back(skip(origin, value, u, reader));
            }
    }

    Skip skip(Origin origin, NodeId value, int to, NodeId reader) const {
        const auto [from, output] = origin;
        Skip result{from, output, 0, to, layers_until(to, reader - 1)};
        if (from == kOutside) {
            result.output = begun_.at(output);
        } else {
            const NodeId made =
                output == kInner ? value : graph_[module(from).outputs[index(output)]].inputs[0];
            result.after = layers_until(from, made);
        }
        return result;
    }

    const Graph& graph_;
    Outline outline_;
    std::vector<ModuleId> modules_;          ///< by unit
    std::vector<int> unit_of_, layer_of_;    ///< by module
    std::vector<std::vector<NodeId>> ends_;  ///< by unit and layer: the last node
    std::vector<std::set<Origin>> origins_;  ///< by node
    std::vector<std::vector<Read>> reads_;   ///< by unit, in order
    std::map<NodeId, int> begun_;            ///< by node outside of units: the stream that begins there
    std::vector<std::pair<Origin, std::string>> newest_;  ///< by stream, and whose stream it is
};

using Place = std::pair<int, int>;

Place beginning(const Skip& skip) {
    return {skip.from, skip.after};
}

Place end(const Skip& skip) {
    return {skip.to, skip.before};
}

bool lies_within(const Skip& inner, const Skip& outer) {
    return beginning(inner) > beginning(outer) && end(inner) < end(outer);
}

}  // namespace

Outline outline_of(const Graph& graph) {
    return Reader(graph).read();
}

Outline of_part(const Outline& outline, std::string_view part) {
    Outline result;
    std::vector<int> places;  // by unit; -1: left out
    for (const auto& unit : outline.units) {
        places.push_back(unit.part == part ? static_cast<int>(result.units.size()) : -1);
        if (unit.part == part) result.units.push_back(unit);
    }
    for (Skip skip : outline.skips) {
        const bool begins_outside = skip.from == kOutside;
        if (!begins_outside) skip.from = places[index(skip.from)];
        skip.to = places[index(skip.to)];
        if (skip.to >= 0 && (begins_outside || skip.from >= 0)) result.skips.push_back(skip);
    }
    return result;
}

std::string stack_of(const std::string& module_name) {
    const auto dot = module_name.rfind('.');
    if (dot == std::string::npos || dot + 1 == module_name.size() ||
        module_name.find_first_not_of("0123456789", dot + 1) != std::string::npos)
        return module_name;
    return module_name.substr(0, dot);
}

std::vector<std::string> names_of(const Outline& outline) {
    std::vector<std::string> names;
    for (const auto& unit : outline.units) names.push_back(unit.name);
    return names;
}

std::vector<Skip> nested_skips(const Outline& outline) {
    std::vector<Skip> skips;
    for (const Skip& skip : outline.skips)
        if (!within_skip(outline, skip).empty()) skips.push_back(skip);
    std::sort(skips.begin(), skips.end(), [](const Skip& a, const Skip& b) {
        return beginning(a) != beginning(b) ? beginning(a) < beginning(b) : end(a) > end(b);
    });
    // the longest chain that ends with each, and the skip before in it
    std::vector<int> length(skips.size(), 1), before(skips.size(), -1);
    int last = -1;
    for (std::size_t i = 0; i < skips.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j)
            if (lies_within(skips[i], skips[j]) && length[j] >= length[i]) {
                length[i] = length[j] + 1;
                before[i] = static_cast<int>(j);
            }
        if (last < 0 || length[i] > length[index(last)]) last = static_cast<int>(i);
    }
    std::vector<Skip> chain;
    for (; last >= 0; last = before[index(last)]) chain.push_back(skips[index(last)]);
    std::reverse(chain.begin(), chain.end());
    return chain;
}

std::vector<Outline::Layer> within_skip(const Outline& outline, const Skip& skip) {
    std::vector<Outline::Layer> result;
    const auto add = [&](int unit, int first, int last) {
        const auto& layers = outline.units[index(unit)].layers;
        result.insert(result.end(), layers.begin() + first, layers.begin() + last);
    };
    const auto count = [&](int unit) { return static_cast<int>(outline.units[index(unit)].layers.size()); };
    if (skip.from >= 0) add(skip.from, skip.after, count(skip.from));
    for (int u = skip.from + 1; u < skip.to; ++u) {
        const bool joined = std::any_of(outline.skips.begin(), outline.skips.end(), [&](const Skip& other) {
            return other.from == u && other.to == skip.to && lies_within(other, skip);
        });
        if (joined && count(u) > 0)
            add(u, 0, count(u));
        else
            result.push_back({outline.units[index(u)].name, outline.units[index(u)].kind});
    }
    add(skip.to, 0, skip.before);
    return result;
}

std::size_t last_stack_size(const Outline& outline) {
    if (outline.units.empty()) return 0;
    const std::string& last = outline.units.back().stack;
    return index(static_cast<std::int32_t>(std::count_if(
        outline.units.begin(), outline.units.end(), [&](const auto& unit) { return unit.stack == last; })));
}

}  // namespace reprise::graph

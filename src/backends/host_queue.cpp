#include "backends/host_queue.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/finite.h"
#include "core/half.h"
#include "core/in_parts.h"
#include "core/machine.h"

namespace reprise::backends {

namespace {

/// Each thread has at least so much to do, so there are several above twice as much.
constexpr std::size_t kBytesOfPart = std::size_t{1} << 19U;
/// Elements that are summed at a time, in the first cache.
constexpr std::size_t kBlock = 1024;

std::size_t elements_of_part(const Tensor& tensor) {
    return kBytesOfPart / size_of(tensor.type());
}

/// Elements [begin, begin + |into|) in f32.
void widen(const Tensor& from, std::size_t begin, std::span<float> into) {
    if (from.type() == DType::bf16)
        convert_from_bf16(from.span<std::uint16_t>().subspan(begin, into.size()), into);
    else if (from.type() == DType::f16)
        convert_from_f16(from.span<std::uint16_t>().subspan(begin, into.size()), into);
    else
        std::copy_n(from.span<float>().begin() + static_cast<std::ptrdiff_t>(begin), into.size(),
                    into.begin());
}

void narrow(std::span<const float> from, std::size_t begin, Tensor& into) {
    const auto to = into.span<std::uint16_t>().subspan(begin, from.size());
    if (into.type() == DType::bf16)
        convert_to_bf16(from, to);
    else
        convert_to_f16(from, to);
}

void add(std::span<float> sum, const float* values, float weight) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * values[i];
}

void combine_part(Tensor& target, std::span<const Queue::Term> terms, std::size_t begin, std::size_t end) {
    const bool is_f32 = target.type() == DType::f32;  // then the sum is made in its place
    std::array<float, kBlock> sums, wide;
    for (; begin < end; begin += kBlock) {
        float* const place = is_f32 ? target.span<float>().data() + begin : sums.data();
        const std::span<float> sum(place, std::min(kBlock, end - begin));
        std::fill(sum.begin(), sum.end(), 0.0F);
        for (const auto& [value, weight] : terms) {
            if (is_f32) {
                add(sum, value->host().span<float>().data() + begin, weight);
                continue;
            }
            widen(value->host(), begin, {wide.data(), sum.size()});
            add(sum, wide.data(), weight);
        }
        if (!is_f32) narrow(sum, begin, target);
    }
}

/// The mean of what `of` makes of each element of `a`, in order.
template <class F>
double mean(const Tensor& a, const F& of) {
    const auto count = static_cast<std::size_t>(a.count());
    double sum = 0;
    std::array<float, kBlock> wide;
    for (std::size_t begin = 0; begin < count; begin += kBlock) {
        const std::span<float> block(wide.data(), std::min(kBlock, count - begin));
        widen(a, begin, block);
        of(begin, block);
        for (const float value : block) sum += std::abs(value);
    }
    return count == 0 ? 0 : sum / static_cast<double>(count);
}

}  // namespace

namespace host {

void combine(Tensor& target, std::span<const Queue::Term> terms, std::size_t threads) {
    if (target.type() != DType::f32 && target.type() != DType::bf16 && target.type() != DType::f16)
        failure("cannot combine values of {}", name_of(target.type()));
    in_parts(static_cast<std::size_t>(target.count()), elements_of_part(target), threads,
             [&](std::size_t begin, std::size_t end) { combine_part(target, terms, begin, end); });
}

double magnitude(const Tensor& a) {
    return mean(a, [](std::size_t, std::span<float>) {});
}

double difference(const Tensor& a, const Tensor& b) {
    std::array<float, kBlock> wide;
    return mean(a, [&](std::size_t begin, std::span<float> block) {
        widen(b, begin, {wide.data(), block.size()});
        for (std::size_t i = 0; i < block.size(); ++i) block[i] -= wide[i];
    });
}

bool has_nan(const Tensor& a, std::size_t threads) {
    if (threads == 1 || a.bytes() < 2 * kBytesOfPart) return reprise::has_nan(a);
    const Tensor flat = a.reshaped({a.count()});
    std::atomic<bool> found = false;
    in_parts(
        static_cast<std::size_t>(a.count()), elements_of_part(a), threads,
        [&](std::size_t begin, std::size_t end) {
            if (reprise::has_nan(flat.rows(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end))))
                found = true;
        });
    return found;
}

}  // namespace host

namespace {

class HostQueue final : public Queue {
  public:
    explicit HostQueue(std::size_t threads) : threads_(threads) {}

    Value from_host(const Tensor& tensor) override { return Value(tensor); }
    void read(const Value& value, Tensor into) override {
        std::memcpy(into.data(), value.host().data(), into.bytes());
    }
    Tensor to_host(const Value& value) override { return value.host(); }
    void wait() override {}

    Value copy(const Value& value) override { return Value(value.host().clone()); }
    Value rows(const Value& value, std::int64_t begin, std::int64_t end) override {
        return Value(value.host().rows(begin, end));
    }
    void combine(Value& target, std::span<const Term> terms) override {
        const Value& first = *terms.front().value;
        if (!target.defined()) target = Value(Tensor(first.type(), first.shape()));
        Tensor into = target.host();
        host::combine(into, terms, threads_);
    }
    double magnitude(const Value& a) override { return host::magnitude(a.host()); }
    double difference(const Value& a, const Value& b) override {
        return host::difference(a.host(), b.host());
    }
    bool has_nan(const Value& a) override { return host::has_nan(a.host(), threads_); }

  private:
    std::size_t threads_;
};

}  // namespace

std::unique_ptr<Queue> host_queue(int threads) {
    static const std::size_t all = machine::processors();
    return std::make_unique<HostQueue>(threads > 0 ? static_cast<std::size_t>(threads) : all);
}

}  // namespace reprise::backends

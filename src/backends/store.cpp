#include "backends/store.h"

#include <algorithm>
#include <atomic>

#include "core/machine.h"
#include "reprise/error.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace reprise::backends {

namespace {

/// What is kept beside what was used last. 60 sizes of a model of 28 MB take a process to 1.14 GB with it.
constexpr double kKeptBytes = 750e6;
/// The part of free memory that this may be at most.
constexpr double kPartOfFree = 0.25;
/// The part of the system's limit that is given to compiled code. What has been freed often stays divided:
/// six sizes of a model, again and again, hold twice the mappings after five rounds.
constexpr double kPartOfMappings = 0.25;
/// The part beyond which nothing is compiled any more.
constexpr double kMostOfMappings = 0.9;

/// Returns freed memory to the system, as far as the allocator can.
void trim() {
#if defined(__GLIBC__)
    ::malloc_trim(0);
#endif
}

/// The mappings that there would be, when that is more than the process may have.
std::optional<std::size_t> beyond_mappings(const Footprint& wanted) {
    const auto most = machine::most_mappings();
    const auto now = machine::mappings();
    const bool fits =
        !most || !now ||
        static_cast<double>(*now) + wanted.mappings <= kMostOfMappings * static_cast<double>(*most);
    return fits ? std::nullopt : now;
}

}  // namespace

/// Never destroyed: what is still held when the process ends is an engine's, which may be gone by then.
Store& Store::of_process() {
    static auto* const one = new Store(
        {kKeptBytes, kPartOfMappings * static_cast<double>(machine::most_mappings().value_or(65530))});
    return *one;
}

Store::Limits Store::limits() const {
    const std::scoped_lock lock(mutex_);
    return limits_;
}

void Store::limit(Limits limits) {
    const std::scoped_lock lock(mutex_);
    limits_ = limits;
}

std::uint64_t Store::next_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

Footprint Store::total() const {
    Footprint sum;
    for (const Entry& entry : entries_) sum += entry.footprint;
    return sum;
}

Store::Held Store::held() const {
    return held(std::nullopt);
}

Store::Held Store::held(std::optional<std::uint64_t> owner) const {
    const std::scoped_lock lock(mutex_);
    Held result;
    for (const Entry& entry : entries_) {
        if (owner && entry.owner != *owner) continue;
        ++result.count;
        result.footprint += entry.footprint;
    }
    return result;
}

/// Whether the entry is what its owner, another than `owner`, used last.
bool Store::was_last_of_another(Entries::const_iterator entry, std::uint64_t owner) const {
    return entry->owner != owner && std::none_of(std::next(entry), entries_.end(), [&](const Entry& later) {
               return later.owner == entry->owner;
           });
}

/// Takes out what has to go before `owner` makes something of that footprint; the caller frees it.
Store::Entries Store::room_for(std::uint64_t owner, const Footprint& wanted) {
    Entries gone;
    const auto take = [&](bool lasts, const auto& wants_more) {
        for (auto entry = entries_.begin(); entry != entries_.end() && wants_more();) {
            const auto next = std::next(entry);
            if (entry->is_idle() && was_last_of_another(entry, owner) == lasts)
                gone.splice(gone.end(), entries_, entry);
            entry = next;
        }
    };
    double idle = 0;
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry)
        if (entry->is_idle() && !was_last_of_another(entry, owner)) idle += entry->footprint.bytes;
    const auto freed = [&] {
        double bytes = 0;
        for (const Entry& entry : gone) bytes += entry.footprint.bytes;
        return bytes;
    };
    const auto available = machine::available_bytes();
    const double kept =
        available ? std::min(limits_.bytes, kPartOfFree * (*available + idle)) : limits_.bytes;
    const auto too_many = [&] { return total().mappings + wanted.mappings > limits_.mappings; };
    const auto too_large = [&] { return available && wanted.bytes > *available + freed(); };
    take(false, [&] { return idle - freed() > kept || too_many() || too_large(); });
    take(true, [&] { return too_many() || too_large(); });
    return gone;
}

/// Takes out all that is in no use.
Store::Entries Store::idle() {
    Entries gone;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto next = std::next(entry);
        if (entry->is_idle()) gone.splice(gone.end(), entries_, entry);
        entry = next;
    }
    return gone;
}

Store::Item Store::keep(std::uint64_t owner, const Footprint& footprint, const std::function<Item()>& make) {
    const auto freed = [&](const auto& choose) {
        Entries gone;
        {
            const std::scoped_lock lock(mutex_);
            gone = choose();
        }
        if (gone.empty()) return;
        gone.clear();
        trim();
    };
    freed([&] { return room_for(owner, footprint); });
    if (beyond_mappings(footprint)) {
        freed([&] { return idle(); });
        if (const auto now = beyond_mappings(footprint))
            failure(
                "the process has {} memory mappings, and the {:.0f} more of another compiled graph come too "
                "near to "
                "the {} that the system allows (vm.max_map_count): use fewer sizes and configurations in one "
                "process",
                *now, footprint.mappings, machine::most_mappings().value());
    }
    Entries::iterator place;
    {
        const std::scoped_lock lock(mutex_);
        place = entries_.insert(entries_.end(), {owner, footprint, nullptr});
    }
    Item item;
    try {
        item = make();
    } catch (...) {
        const std::scoped_lock lock(mutex_);
        entries_.erase(place);
        throw;
    }
    const std::scoped_lock lock(mutex_);
    place->item = item;
    entries_.splice(entries_.end(), entries_, place);
    return item;
}

void Store::use(std::uint64_t owner, const Item& item) {
    const std::scoped_lock lock(mutex_);
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& each) {
        return each.owner == owner && each.item == item;
    });
    if (entry != entries_.end()) entries_.splice(entries_.end(), entries_, entry);
}

void Store::drop(std::uint64_t owner, const void* item) {
    Entries gone;
    {
        const std::scoped_lock lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            const auto next = std::next(entry);
            if (entry->owner == owner && entry->item && (item == nullptr || entry->item.get() == item))
                gone.splice(gone.end(), entries_, entry);
            entry = next;
        }
    }
    if (gone.empty()) return;
    gone.clear();
    trim();
}

}  // namespace reprise::backends

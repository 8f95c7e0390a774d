#include "backends/store.h"

#include <algorithm>
#include <atomic>
#include <thread>

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

/// Never destroyed: what is still held when the process ends is an engine's, which may be gone by then. What
/// is being made is waited for.
Store& Store::of_process() {
    static auto* const one = new Store(
        {kKeptBytes, kPartOfMappings * static_cast<double>(machine::most_mappings().value_or(65530))});
    struct AtExit {
        ~AtExit() { one->drain(); }
    };
    static const AtExit at_exit;
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
    for (const Handle& entry : entries_) sum += entry->footprint;
    return sum;
}

Store::Held Store::held() const {
    return held(std::nullopt);
}

Store::Held Store::held(std::optional<std::uint64_t> owner) const {
    const std::scoped_lock lock(mutex_);
    Held result;
    for (const Handle& entry : entries_) {
        if (owner && entry->owner != *owner) continue;
        ++result.count;
        result.footprint += entry->footprint;
        if (!entry->is_idle()) result.in_use += entry->footprint;
    }
    return result;
}

/// Whether the last call of its owner, another than `owner`, used the entry.
bool Store::was_last_of_another(const Entry& entry, std::uint64_t owner) const {
    if (entry.owner == owner) return false;
    const auto last = calls_.find(entry.owner);
    return last != calls_.end() && last->second == entry.call;
}

/// Takes out what has to go before `owner` makes something of that footprint; the caller frees it.
std::vector<Store::Handle> Store::room_for(std::uint64_t owner, const Footprint& wanted) {
    std::vector<Handle> gone;
    double freed = 0;
    const auto take = [&](bool lasts, const auto& wants_more) {
        for (auto at = entries_.begin(); at != entries_.end() && wants_more();) {
            const Handle& entry = *at;
            const bool goes = entry->is_idle() && was_last_of_another(*entry, owner) == lasts;
            if (!goes) {
                ++at;
                continue;
            }
            freed += entry->footprint.bytes;
            gone.push_back(entry);
            at = entries_.erase(at);
        }
    };
    double idle = 0;
    for (const Handle& entry : entries_)
        if (entry->is_idle() && !was_last_of_another(*entry, owner)) idle += entry->footprint.bytes;
    const auto available = machine::available_bytes();
    const double kept =
        available ? std::min(limits_.bytes, kPartOfFree * (*available + idle)) : limits_.bytes;
    const auto too_many = [&] { return total().mappings + wanted.mappings > limits_.mappings; };
    const auto too_large = [&] { return available && wanted.bytes > *available + freed; };
    take(false, [&] { return idle - freed > kept || too_many() || too_large(); });
    take(true, [&] { return too_many() || too_large(); });
    return gone;
}

/// Takes out all that is in no use.
std::vector<Store::Handle> Store::take_idle() {
    std::vector<Handle> gone;
    for (auto at = entries_.begin(); at != entries_.end();) {
        const bool goes = (*at)->is_idle();
        if (goes) gone.push_back(*at);
        at = goes ? entries_.erase(at) : std::next(at);
    }
    return gone;
}

void Store::make_room(std::uint64_t owner, const Footprint& wanted) {
    const auto free = [&](const auto& choose) {
        std::vector<Handle> gone;
        {
            const std::scoped_lock lock(mutex_);
            gone = choose();
        }
        if (gone.empty()) return;
        gone.clear();
        trim();
    };
    free([&] { return room_for(owner, wanted); });
    if (!beyond_mappings(wanted)) return;
    free([&] { return take_idle(); });
    if (const auto now = beyond_mappings(wanted))
        failure(
            "the process has {} memory mappings, and the {:.0f} more of another compiled graph come too near "
            "to the {} that the system allows (vm.max_map_count): use fewer sizes and configurations in one "
            "process",
            *now, wanted.mappings, machine::most_mappings().value_or(0));
}

std::optional<double> Store::available(double wanted) {
    auto bytes = machine::available_bytes();
    while (bytes && *bytes < wanted) {
        Handle gone;
        {
            const std::scoped_lock lock(mutex_);
            const auto idle = std::find_if(entries_.begin(), entries_.end(),
                                           [](const Handle& entry) { return entry->is_idle(); });
            if (idle == entries_.end()) break;
            gone = *idle;
            entries_.erase(idle);
        }
        gone.reset();
        trim();
        bytes = machine::available_bytes();
    }
    return bytes;
}

Store::Handle Store::find(std::uint64_t owner, const std::string& key) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Handle& entry) {
        return entry->owner == owner && entry->key == key;
    });
    return found == entries_.end() ? nullptr : *found;
}

/// The entry is in this call's use, and the one used last.
void Store::use(const Handle& entry, std::uint64_t call) {
    entry->call = std::max(entry->call, call);
    ++entry->waiting;
    const auto at = std::find(entries_.begin(), entries_.end(), entry);
    if (at != entries_.end()) entries_.splice(entries_.end(), entries_, at);
}

std::vector<Store::Item> Store::get(std::uint64_t owner, const std::vector<std::string>& keys,
                                    const std::function<Untyped(std::size_t)>& order,
                                    const Waiting& waiting) {
    std::vector<Handle> entries(keys.size());
    const Leaving leaving{*this, entries};
    std::uint64_t call = 0;
    {
        const std::scoped_lock lock(mutex_);
        call = ++calls_[owner];
        for (std::size_t i = 0; i < keys.size(); ++i) {
            entries[i] = find(owner, keys[i]);
            if (entries[i]) use(entries[i], call);
        }
    }
    std::vector<Handle> wanted;
    Footprint footprint;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (entries[i]) continue;
        Untyped made = order(i);
        footprint += made.footprint;
        wanted.push_back(std::make_shared<Entry>(
            Entry{owner, keys[i], made.footprint, call, std::move(made.make), made.at_once, {}, {}, 0}));
        entries[i] = wanted.back();
    }
    if (!wanted.empty()) make_room(owner, footprint);
    {
        const std::scoped_lock lock(mutex_);
        for (Handle& entry : entries) {
            if (std::find(wanted.begin(), wanted.end(), entry) == wanted.end()) continue;
            if (const Handle meanwhile = find(owner, entry->key)) {  // another caller was faster
                entry = meanwhile;
            } else {
                entries_.push_back(entry);
                queue_.push_back(entry);
            }
            use(entry, call);
        }
    }
    begin_work();
    wait(entries, waiting);
    const std::scoped_lock lock(mutex_);
    std::vector<Item> items;
    for (const Handle& entry : entries) {
        if (entry->error) std::rethrow_exception(entry->error);
        items.push_back(entry->item);
    }
    return items;
}

/// Returns when all are over. Error (cancelled) when a stop is asked for.
void Store::wait(const std::vector<Handle>& entries, const Waiting& waiting) {
    const auto over = [&] {
        return static_cast<std::size_t>(std::count_if(entries.begin(), entries.end(),
                                                      [](const Handle& entry) { return entry->is_over(); }));
    };
    std::unique_lock lock(mutex_);
    std::optional<std::size_t> said;
    for (std::size_t done = over(); done < entries.size(); done = over()) {
        if (waiting.stop.stop_requested()) throw Error(ErrorKind::cancelled, "stopped while compiling");
        if (waiting.progress && said != done) {
            said = done;
            lock.unlock();
            waiting.progress(done, entries.size());
            lock.lock();
            continue;
        }
        changed_.wait(lock, waiting.stop, [&] { return over() != done; });
    }
}

/// The caller waits for them no more. What nobody waits for and is not begun is not made.
void Store::leave(const std::vector<Handle>& entries) {
    const std::scoped_lock lock(mutex_);
    for (const Handle& entry : entries) {
        if (!entry || entry->waiting == 0) continue;
        --entry->waiting;
        if (entry->waiting > 0 || !entry->make) continue;
        std::erase(queue_, entry);
        std::erase(entries_, entry);
    }
}

/// Starts as many threads as there is to do, within limits.
void Store::begin_work() {
    static const std::size_t cores = machine::processors();
    const std::scoped_lock lock(mutex_);
    std::size_t at_once = std::max<std::size_t>(1, cores);
    for (const Handle& entry : queue_) at_once = std::min(at_once, entry->at_once);
    for (std::size_t left = queue_.size(); left > 0 && workers_ < static_cast<int>(at_once); --left) {
        ++workers_;
        std::thread([this] { work(); }).detach();
    }
}

void Store::work() {
    std::unique_lock lock(mutex_);
    while (!queue_.empty()) {
        const Handle entry = queue_.front();
        queue_.pop_front();
        auto make = std::move(entry->make);
        entry->make = nullptr;
        lock.unlock();
        Item item;
        std::exception_ptr error;
        try {
            item = make();
        } catch (...) {
            error = std::current_exception();
        }
        make = nullptr;  // frees what only it needed
        lock.lock();
        entry->item = std::move(item);
        entry->error = error;
        if (error) std::erase(entries_, entry);
        changed_.notify_all();
    }
    --workers_;
    changed_.notify_all();
}

/// Makes nothing more that is not begun, and waits for what is.
void Store::drain() {
    std::unique_lock lock(mutex_);
    queue_.clear();
    changed_.wait(lock, [&] { return workers_ == 0; });
}

void Store::drop(std::uint64_t owner, const std::vector<std::string>* keys, bool idle_only) {
    std::vector<Handle> gone;
    {
        const std::scoped_lock lock(mutex_);
        for (auto at = entries_.begin(); at != entries_.end();) {
            const Handle& entry = *at;
            const bool goes =
                entry->owner == owner && (!idle_only || entry->is_idle()) &&
                (keys == nullptr || std::find(keys->begin(), keys->end(), entry->key) != keys->end());
            if (goes) gone.push_back(entry);
            at = goes ? entries_.erase(at) : std::next(at);
        }
        if (!idle_only) calls_.erase(owner);
    }
    if (gone.empty()) return;
    gone.clear();
    trim();
}

}  // namespace reprise::backends

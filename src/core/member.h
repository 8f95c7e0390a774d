#pragma once

namespace reprise {

/// The structure that a pointer to a member is of.
template <auto Member>
struct OwnerOf;
template <class T, class C, T C::*Member>
struct OwnerOf<Member> {
    using Type = C;
};

/// The member that a path of pointers to members leads to.
template <auto First, auto... Rest>
auto& member_of(auto& owner) {
    if constexpr (sizeof...(Rest) == 0)
        return owner.*First;
    else
        return member_of<Rest...>(owner.*First);
}

}  // namespace reprise

{{
    config(
        unique_key='load_id',
        partition_by=none,
        meta={'pruned_by': none, 'source': 'randomuser', 'records': 'users'},
        grants=grants_to('readers'),
    )
}}

{%- set kept_days = [keep_days('keep_raw_days'), keep_days('keep_base_days')] | select | list -%}
{%- if kept_days -%}
    {#- A rebuild would lose what became of the loads whose users have expired. -#}
    {{- config(full_refresh=false) -}}
{%- endif -%}
{%- set new = uncounted_loads(source('randomuser', 'loads')) %}

with

ledger as (

    select
        load_id,
        source,
        api_version,
        started_at,
        loaded_at,
        users_received,
        users_landed,
        users_forgotten,
        decision,
        decided_at
    from {{ source('randomuser', 'loads') }}

),

users as (

    select * from {{ ref('base_randomuser__users') }}
    where loaded_at >= {{ new.start }}

),

counted as (

    select
        load_id,
        count(*) - count(rejection_reason) as users_accepted,
        count(rejection_reason) as users_rejected,
        countif(first_name is null or last_name is null or email is null or location_id is null)
        / count(*) as incomplete_share,
        countif(gender = 'female') / count(*) as female_share
    from users
    group by load_id

),

rejected as (

    select
        load_id,
        rejection_reason,
        count(*) as users
    from users
    where rejection_reason is not null
    group by load_id, rejection_reason

),

reasons as (

    select
        load_id,
        string_agg(
            concat(rejection_reason, ' (', cast(users as string), ')'),
            '; ' order by users desc, rejection_reason asc
        ) as rejection_reasons
    from rejected
    group by load_id

),

grouped as (

    select
        load_id,
        is_nationality,
        if(is_nationality, nationality, regexp_extract(email, r'@(.*)$')) as shared,
        count(*) as users
    from users
    cross join unnest([true, false]) as is_nationality
    group by load_id, is_nationality, shared

),

most_common as (

    select
        load_id,
        max(if(is_nationality, users, null)) as of_one_nationality,
        max(if(is_nationality, null, users)) as of_one_email_domain
    from grouped
    group by load_id

),

-- once, when base has the load: what a load was does not change when its users are forgotten
counts as (

    select
        ledger.load_id,
        current_timestamp() as built_at,
        if(ledger.users_landed = 0, 0, counted.users_accepted) as users_accepted,
        if(ledger.users_landed = 0, 0, counted.users_rejected) as users_rejected,
        reasons.rejection_reasons,
        counted.incomplete_share,
        counted.female_share,
        most_common.of_one_nationality / (counted.users_accepted + counted.users_rejected)
            as nationality_share,
        most_common.of_one_email_domain / (counted.users_accepted + counted.users_rejected)
            as email_domain_share
    from ledger
    left join counted
        on ledger.load_id = counted.load_id
    left join reasons
        on ledger.load_id = reasons.load_id
    left join most_common
        on ledger.load_id = most_common.load_id
    where
        (
            counted.load_id is not null
            or ledger.users_landed = 0
            {%- if kept_days %}
            or ledger.loaded_at < timestamp_sub(
                current_timestamp(), interval {{ kept_days | min }} day
            )
            {%- endif %}
        )
    {%- if new.kept %}
        and ledger.load_id not in (select load_id from {{ this }} where {{ new.kept }})

    union all

    select
        load_id,
        built_at,
        users_accepted,
        users_rejected,
        rejection_reasons,
        incomplete_share,
        female_share,
        nationality_share,
        email_domain_share
    from {{ this }}
    where {{ new.kept }}
    {%- endif %}

)

select
    ledger.load_id,
    case
        when ledger.decision = 'set aside' then 'set aside'
        when counts.load_id is null then 'not built'
        when counts.users_accepted is null then 'expired'
        when
            ledger.decision = 'accepted'
            or counts.users_rejected <= ledger.users_received * {{ var('rejected_share') }}
            then 'used'
        else 'held back'
    end as state,
    ledger.users_received,
    counts.users_accepted,
    counts.users_rejected,
    counts.rejection_reasons,
    ledger.decision,
    ledger.decided_at,
    ledger.started_at,
    ledger.loaded_at,
    counts.built_at,
    timestamp_diff(ledger.loaded_at, ledger.started_at, millisecond) / 1000 as seconds,
    ledger.users_landed,
    coalesce(ledger.users_forgotten, 0) as users_forgotten,
    counts.incomplete_share,
    counts.female_share,
    counts.nationality_share,
    counts.email_domain_share,
    ledger.source,
    ledger.api_version
from ledger
left join counts
    on ledger.load_id = counts.load_id
{%- if is_incremental() %}
left join {{ this }} as known
    on ledger.load_id = known.load_id
where
    known.load_id is null
    or known.users_landed != ledger.users_landed
    or known.built_at is distinct from counts.built_at
    or known.decided_at is distinct from ledger.decided_at
{%- endif %}

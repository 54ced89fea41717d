{% macro forget_script(ids, tables, dry_run) %}
    {#-
        The script that counts the rows of users and, unless it is a dry run, deletes them in one
        transaction: BigQuery ends it completely or not at all, also if dbt is killed. Base comes
        last: it tells when a user landed and where a user lives.
    -#}
    {%- set base = relation_of('base_randomuser__users') -%}
    {%- set is_used = "load_id in (select load_id from " ~ relation_of('loads')
        ~ " where state = 'used')" -%}
    {%- set raw = source('randomuser', 'users') | string -%}
    {%- set loads, forgotten = source('randomuser', 'loads'), source('randomuser', 'forgotten') -%}
    {%- set users = tables.users | rejectattr('relation', 'equalto', base) | list
        + tables.users | selectattr('relation', 'equalto', base) | list -%}
    {%- set raw_user = (users | selectattr('relation', 'equalto', raw) | first).user -%}
    {%- set all = tables.failures + tables.addresses + users -%}
    {{ declare_users(tojson(ids)) }}
    declare deleted string;
    declare travel_days int64 default ({{ _time_travel_days(tables.schemas) }});
    begin transaction;
    {{ find_users(tables) }}
    set shared = array(
        select distinct location_id
        from (
            select user_id, location_id from {{ base }}
            where rejection_reason is null and {{ is_used }}
            union all
            select user_id, location_id from {{ relation_of('users') }}
        )
        where location_id in unnest(addresses) and user_id not in unnest(ids)
    );
    set deleted = (
        select concat(
            '{', coalesce(string_agg(format('"%s": %d', name, users), ', ' order by name), ''), '}'
        )
        from (
            {%- for table in all %}
            select '{{ table.name }}' as name, count(*) as users
            from {{ table.relation }} where {{ rows_of(table) }}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        where users > 0
    );
    {%- if not dry_run %}
    insert into {{ forgotten }} (user_hash, forgotten_at, receipt)
    select user_hash, current_timestamp(), deleted
    from (select {{ user_hash('id', 'randomuser') }} as user_hash from unnest(ids) as id)
    where deleted != '{}' or user_hash not in (select user_hash from {{ forgotten }});
    -- before the rows go: a ledger that has left them out already is not changed again
    update {{ loads }} as ledger
    set
        users_landed = ledger.users_landed - gone.users,
        users_forgotten = coalesce(ledger.users_forgotten, 0) + gone.users
    from (
        select
            load_id,
            count(*) as users_in_raw,
            countif({{ raw_user }} in unnest(ids)) as users
        from {{ raw }}
        where loaded_at >= raw_from and load_id in unnest(load_ids)
        group by load_id
    ) as gone
    where ledger.load_id = gone.load_id and ledger.users_landed = gone.users_in_raw;
    {%- for table in tables.addresses %}
    if array_length(shared) > 0 then
    -- the address gets the row of the user who landed last before
    merge into {{ table.relation }} as known
    using (
        select * from {{ base }}
        where
            location_id in unnest(shared)
            and user_id not in unnest(ids)
            and rejection_reason is null
            and {{ is_used }}
        qualify row_number() over (
            partition by location_id order by loaded_at desc, load_id desc, record_index desc
        ) = 1
    ) as newest
        on known.location_id = newest.location_id
    when matched then update set
        {%- for column in table.columns %}
        {{ column }} = newest.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %};
    end if;
    {%- endfor %}
    {%- for table in all %}
    delete from {{ table.relation }} where {{ rows_of(table) }};
    {%- endfor %}
    {%- endif %}
    commit transaction;
    select
        deleted as receipt,
        (select count(distinct row.id) from unnest(found) as row) as users_found,
        (select string_agg({{ user_hash('id', 'randomuser') }}, ' ') from unnest(ids) as id) as user_hashes,
        date_add(current_date(), interval travel_days day) as travels_until,
        date_add(current_date(), interval travel_days + 7 day) as restored_until
{% endmacro %}

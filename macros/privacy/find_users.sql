{% macro declare_users(ids) %}
    {#- The first statements of a script about users; `ids` is an expression for their ids. -#}
    declare ids array<string> default {{ ids }};
    declare found array<struct<load_id string, loaded_at timestamp, id string>>;
    declare landed array<timestamp>;
    declare load_ids, addresses, shared array<string>;
    declare raw_from timestamp;
{%- endmacro %}

{% macro find_users(tables, emails=[]) %}
    {#-
        The statements that find the loads and the addresses of users. `landed` prunes all tables,
        because a row of a mart has the time of its load, and `raw_from` prunes raw.
    -#}
    {%- set dated = tables.users | selectattr('is_dated') | list -%}
    set found = array(
        select as struct load_id, loaded_at, id
        from (
            {%- for table in dated %}
            select load_id, loaded_at, {{ table.user }} as id from {{ table.relation }}
            where {{ is_user(table, emails) }}{{ _and_unparsed(table) }}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        group by load_id, loaded_at, id
    );
    set landed = array(select distinct row.loaded_at from unnest(found) as row);
    set load_ids = array(select distinct row.load_id from unnest(found) as row);
    -- the rows of a load are in raw since it started to land, before its row in the ledger
    set raw_from = least(
        (select min(row.loaded_at) from unnest(found) as row),
        {%- for source in tables.sources %}
        (
            select coalesce(min(started_at), current_timestamp())
            from {{ source.ledger }} where load_id in unnest(load_ids)
        ){{ ',' if not loop.last }}
        {%- endfor %}
    );
    set addresses = array(
        select distinct address
        from (
            {%- for table in dated | selectattr('address', 'defined') %}
            select {{ table.address }} as address from {{ table.relation }}
            where {{ rows_of(table, emails) }}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        where address is not null
    );
{%- endmacro %}

{% macro users_of_emails(tables, emails) %}
    {#-
        A query for the users who have or had one of the e-mail addresses: email_hash, id, loads and
        loaded_at, the time of the newest. The id is null for users without a UUID.
    -#}
    select email_hash, id, count(distinct load_id) as loads, max(loaded_at) as loaded_at
    from (
        {%- for table in tables.users | selectattr('email', 'defined') | selectattr('is_dated') %}
        select
            {{ _email_hash(table) }} as email_hash, {{ _known_id(table) }} as id, load_id, loaded_at
        from {{ table.relation }}
        where true{{ _and_unparsed(table) }}
        {%- if not loop.last %} union all{% endif %}
        {%- endfor %}
    )
    where email_hash in unnest({{ tojson(hashes_of(emails)) }})
    group by email_hash, id
{%- endmacro %}

{% macro hashes_of(emails) %}
    {#- Statements have hashes of e-mail addresses, so that BigQuery's job history has no address. -#}
    {%- set hashes = [] -%}
    {%- for email in emails -%}
        {%- do hashes.append(local_md5(email | trim | lower)) -%}
    {%- endfor -%}
    {{ return(hashes) }}
{% endmacro %}

{% macro _email_hash(table) -%}
    to_hex(md5(lower(trim({{ table.email }}))))
{%- endmacro %}

{% macro _known_id(table) -%}
    {#- Only a UUID tells who a user is: rejected users of several people can have the same text. -#}
    if(regexp_contains({{ table.user }}, r'{{ _uuid_pattern() }}'), {{ table.user }}, null)
{%- endmacro %}

{% macro _uuid_pattern() %}^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}${% endmacro %}

{% macro is_uuid(text) %}
    {{ return(text is string and modules.re.match(_uuid_pattern(), text | trim | lower) is not none) }}
{% endmacro %}

{% macro is_user(table, emails=[]) %}
    {#- The condition for rows of users; `emails`: of users without a UUID, too. -#}
    {%- if emails and table.email -%}
        ({{ table.user }} in unnest(ids) or {{ _known_id(table) }} is null
        and {{ _email_hash(table) }} in unnest({{ tojson(hashes_of(emails)) }}))
    {%- else -%}
        {{ table.user }} in unnest(ids)
    {%- endif -%}
{% endmacro %}

{% macro rows_of(table, emails=[]) %}
    {#- `is_user`, pruned, or the condition for rows of their addresses; a stored failure may hold
        any value of any user. -#}
    {%- if table.user -%}
        {%- if table.source -%}
            loaded_at >= raw_from and load_id in unnest(load_ids) and{{ ' ' }}
        {%- elif table.is_dated -%}
            loaded_at in unnest(landed) and{{ ' ' }}
        {%- endif -%}
        {{ is_user(table, emails) }}
    {%- elif table.address -%}
        {{ table.address }} in unnest(addresses) and {{ table.address }} not in unnest(shared)
    {%- else -%}
        true
    {%- endif -%}
{% endmacro %}

{% macro _and_unparsed(table) %}
    {#- Base finds the users in raw that it has parsed; all of raw is searched where base expires or
        may be of the last `dev_days`. -#}
    {%- if table.source -%}
        {%- set is_whole = target.name == 'prod' and not var('keep_base_days') -%}
        {%- set first = run_query(
            "select min(started_at) from " ~ table.source.ledger
            ~ " where load_id not in (select load_id from " ~ table.source.loads
            ~ " where built_at is not null)"
        ).columns[0][0] if is_whole -%}
        {{- ' ' }}and loaded_at >= {{ as_literal(first) if first else "timestamp '1970-01-01 00:00:00+00'" }}
    {%- endif -%}
{% endmacro %}

{% macro relation_of(model) %}
    {#- Not by ref(): staging is private, and dbt allows the reference only in a model. -#}
    {{ return(graph.nodes['model.randomuser.' ~ model].relation_name) }}
{% endmacro %}

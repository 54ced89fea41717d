{% macro personal_tables(types=['table']) %}
    {#-
        The tables that hold users, in all of the project's datasets: models, snapshots, sources,
        batches that a build has left, and stored failures of tests. They are found by the meta
        `key` of their columns: `user` or `address`; the expression for the key is returned under
        that name, and the one in the meta `email` as `email`. `columns` has the class and the
        description of each column; `source` is what `list_sources` has of a table of raw records.
        Tables that are none of the project's are returned as `others`.
    -#}
    {%- set found = {'users': [], 'addresses': [], 'failures': [], 'others': []} -%}
    {%- set nodes, schemas, built, sources = {}, {}, [], list_sources() -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list -%}
        {%- do nodes.update({node.schema ~ '.' ~ (node.alias or node.identifier): node}) -%}
        {%- do schemas.update({node.schema: node.database}) -%}
    {%- endfor -%}
    {%- for schema, database in schemas.items() -%}
        {%- set dataset = api.Relation.create(database=database, schema=schema) -%}
        {%- for relation in dbt.list_relations_without_caching(dataset) if relation.type in types -%}
            {%- set name = schema ~ '.' ~ relation.identifier -%}
            {%- do built.append(relation | string) -%}
            {%- set node = nodes.get(name.split('__dbt_tmp')[0]) -%}
            {%- set columns = node.columns if node else {} -%}
            {%- set table = {'name': name, 'relation': relation | string, 'columns': {},
                'is_dated': 'loaded_at' in columns,
                'source': sources | selectattr('raw', 'equalto', relation | string) | first} -%}
            {%- for column in columns.values() -%}
                {%- set meta = column.config.meta -%}
                {%- do table.columns.update(
                    {column.name: {'class': meta.class, 'description': column.description}}) -%}
                {%- do table.update({meta.key: meta.expression or column.name}) if meta.key -%}
                {%- do table.update({'email': meta.email}) if meta.email -%}
            {%- endfor -%}
            {%- set kind = 'failures' if node.resource_type == 'test' else 'users' if table.user
                else 'addresses' if table.address else none if node else 'others' -%}
            {%- if kind -%}
                {%- do found[kind].append(table) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set landed = sources | selectattr('raw', 'in', built) | list -%}
    {%- for table in landed | map(attribute='base') | list + landed | map(attribute='loads') | list
        + [relation_of('base_randomuser__users'), relation_of('users')] if table not in built -%}
        {{ exceptions.raise_compiler_error(
            "there is no " ~ table ~ ": run `dbt build` first; nothing was done"
        ) }}
    {%- endfor -%}
    {{ return(dict(found, schemas=schemas | list, sources=landed)) }}
{% endmacro %}

{% macro list_sources() %}
    {#- The sources, known by the meta of their marts of loads (loads_of.sql), with their tables. -#}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.config.meta.records -%}
        {%- set name, records = node.config.meta.source, node.config.meta.records -%}
        {%- do found.append({
            'name': name,
            'records': records,
            'raw': source(name, records) | string,
            'ledger': source(name, 'loads'),
            'forgotten': source(name, 'forgotten'),
            'base': relation_of('base_' ~ name ~ '__' ~ records),
            'loads': node.relation_name,
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}

{% macro personal_tables() %}
    {#-
        The tables that hold users, in all of the project's datasets: models, snapshots, sources,
        batches that a build has left, and stored failures of tests. They are found by the meta
        `key` of their columns: `user` or `address`; the expression for the key is returned under
        that name. Tables that are none of the project's are returned as `others`.
    -#}
    {%- set found = {'users': [], 'addresses': [], 'failures': [], 'others': []} -%}
    {%- set nodes, schemas = {}, {} -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list -%}
        {%- do nodes.update({node.schema ~ '.' ~ (node.alias or node.identifier): node}) -%}
        {%- do schemas.update({node.schema: node.database}) -%}
    {%- endfor -%}
    {%- for schema, database in schemas.items() -%}
        {%- set dataset = api.Relation.create(database=database, schema=schema) -%}
        {%- for relation in dbt.list_relations_without_caching(dataset) if relation.type == 'table' -%}
            {%- set name = schema ~ '.' ~ relation.identifier -%}
            {%- set node = nodes.get(name.split('__dbt_tmp')[0]) -%}
            {%- set columns = node.columns if node else {} -%}
            {%- set table = {'name': name, 'relation': relation | string, 'columns': columns | list,
                'is_dated': 'loaded_at' in columns} -%}
            {%- for column in columns.values() if column.config.meta.key -%}
                {%- set expression = column.config.meta.expression or column.name -%}
                {%- do table.update({column.config.meta.key: expression}) -%}
            {%- endfor -%}
            {%- set kind = 'failures' if node.resource_type == 'test' else 'users' if table.user
                else 'addresses' if table.address else none if node else 'others' -%}
            {%- if kind -%}
                {%- do found[kind].append(table) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(dict(found, schemas=schemas | list)) }}
{% endmacro %}
